"""The master worker: finds due rows and starts workers for them, and for campaigns that have lost theirs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from modules.application.worker import Lane, WorkerStart
    from modules.notification.types import RESTART_ACTIVITY
    from modules.notification.workers.params import DuePage, ScanCounts, ScanParams

EXPIRE_ACTIVITY = "expire_overdue_push_notifications"
START_ACTIVITY = "start_due_push_notifications"
RESTART_PATCH = "restart-campaigns"
# A page costs six events at the most; the server warns at 4,096 and we stay below half of it.
PAGES_PER_RUN = 200
# Runs never overlap: one that is stuck would keep all later scans from starting.
RUN_TIMEOUT_SECONDS = 7_200.0
ACTIVITY_TIMEOUT = timedelta(minutes=5)
HEARTBEAT_TIMEOUT = timedelta(seconds=30)
GIVE_UP_AFTER = timedelta(minutes=30)
RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))


@workflow.defn(name="PushNotificationsWorker")
class PushNotificationsWorker:
    """One scan over everything that is due. The workers it starts outlive it."""

    @staticmethod
    def default_params() -> ScanParams:
        return ScanParams()

    @staticmethod
    def describe(_: ScanParams) -> WorkerStart:
        return WorkerStart(
            workflow_id="push-notifications",
            lane=Lane.MASTER,
            run_timeout_seconds=RUN_TIMEOUT_SECONDS,
            summary="scan for due push notifications",
            details="Expires what is too late and starts workers for every push notification that is due.",
        )

    @workflow.run
    async def run(self, params: ScanParams) -> ScanCounts:
        """Returns what the whole scan did, over all runs it continued in."""
        counts = params.counts
        if not params.expiry_done:
            counts = replace(counts, expired=await self._expire())
            if workflow.patched(RESTART_PATCH):
                counts = replace(counts, campaigns=await self._restart_campaigns())
        cursor = params.cursor
        for _ in range(PAGES_PER_RUN):
            page = await self._start_page(ScanParams(cursor=cursor))
            counts = replace(
                counts,
                started=counts.started + page.started,
                reclaimed=counts.reclaimed + page.reclaimed,
                already_running=counts.already_running + page.already_running,
                pages=counts.pages + 1,
                batches=counts.batches + page.batches,
            )
            workflow.set_current_details(_in_words(counts))
            cursor = page.cursor
            if cursor is None:
                return counts
        return workflow.continue_as_new(ScanParams(cursor=cursor, counts=counts, expiry_done=True))

    async def _expire(self) -> int:
        expired: int = await workflow.execute_activity(
            EXPIRE_ACTIVITY,
            result_type=int,
            start_to_close_timeout=ACTIVITY_TIMEOUT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            schedule_to_close_timeout=GIVE_UP_AFTER,
            retry_policy=RETRY,
            summary="expire what is too late",
        )
        return expired

    async def _restart_campaigns(self) -> int:
        restarted: int = await workflow.execute_activity(
            RESTART_ACTIVITY,
            result_type=int,
            start_to_close_timeout=ACTIVITY_TIMEOUT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            schedule_to_close_timeout=GIVE_UP_AFTER,
            retry_policy=RETRY,
            summary="restart campaigns without a worker",
        )
        return restarted

    async def _start_page(self, params: ScanParams) -> DuePage:
        page: DuePage = await workflow.execute_activity(
            START_ACTIVITY,
            params,
            result_type=DuePage,
            start_to_close_timeout=ACTIVITY_TIMEOUT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            schedule_to_close_timeout=GIVE_UP_AFTER,
            retry_policy=RETRY,
            summary="start workers for a page of due rows",
        )
        return page


def _in_words(counts: ScanCounts) -> str:
    return (
        f"{counts.started} worker(s) and {counts.batches} batch(es) started, "
        f"{counts.campaigns} campaign(s) restarted, {counts.already_running} already running, "
        f"{counts.reclaimed} taken over from lost workers, {counts.expired} expired, {counts.pages} page(s)"
    )

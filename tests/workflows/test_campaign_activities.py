"""The campaign's real activities under its real worker: a slice that is stopped still reports."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError

from modules.application.errors import ConflictError, UnavailableError
from modules.application.worker import Lane
from modules.campaign.campaign_service import CampaignService
from modules.campaign.run_types import (
    Collected,
    CollectParams,
    FailedRunParams,
    RecordedWill,
    SliceParams,
    SliceReport,
)
from modules.campaign.workers.campaign_activities import CampaignActivities
from modules.campaign.workers.campaign_worker import CampaignWorker
from modules.notification.workers.params import ScanCounts, ScanParams
from modules.notification.workers.push_notifications_worker import PushNotificationsWorker
from tests.support.campaign_runs import make_campaign
from tests.support.workflow_runs import ScriptedScan, WorkflowRuns, event_types

ACCOUNTS = 1_000


@dataclass
class Service:
    """The campaign service as the activities ask it: one page, whose slice waits until it is told to stop."""

    waits: bool = True
    failed_runs: list[FailedRunParams] = field(default_factory=list)
    stops: int = 0
    parts: list[tuple[int, int]] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    refusals: dict[str, Exception] = field(default_factory=dict)

    def activities(self) -> CampaignActivities:
        return CampaignActivities(cast("type[CampaignService]", self))

    async def collect_audience_async(self, *, params: CollectParams) -> Collected:
        return Collected(accounts=ACCOUNTS, pages=1, complete=True)

    async def deliver_slice_async(self, *, params: SliceParams, stopped: asyncio.Event) -> SliceReport:
        done = params.end
        if self.waits:
            self.begun.set()
            await stopped.wait()
            self.stops += 1
            done = (params.start + params.end) // 2
        self.parts.append((params.start, done))
        return SliceReport(
            page=params.page,
            done=done,
            counts={"sent": done},
            retry_in_seconds=None,
            attempts=0,
            errors=0,
            latencies=[],
        )

    async def record_state_async(self, *, params: Any) -> None:
        self.states.append(params.state)

    async def count_failed_run_async(self, *, params: FailedRunParams) -> RecordedWill:
        self.failed_runs.append(params)
        return RecordedWill(state="running", reason=None, wish=None, wish_reason=None, rate_per_second=None)

    async def unfinished_async(self) -> list[str]:
        return ["running", *self.refusals, "lost"]

    async def start_run_async(self, *, campaign_id: str) -> bool:
        if campaign_id in self.refusals:
            raise self.refusals[campaign_id]
        return campaign_id == "lost"


class RefusingService(Service):
    async def collect_audience_async(self, *, params: CollectParams) -> Collected:
        raise ConflictError(code="campaign_finished", reason="secret")


async def test_a_slice_that_waits_hears_of_the_pause_and_its_report_is_not_lost(runs: WorkflowRuns) -> None:
    """Temporal tells an activity of its cancellation in answer to heartbeats: this one had to send some."""
    service, params = Service(), make_campaign()
    async with runs.serving(*service.activities().all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, params)
        await service.begun.wait()
        await runs.runtime.update(CampaignWorker, params, "pause", None)
        service.waits = False
        await runs.runtime.update(CampaignWorker, params, "resume", None)
        assert await handle.result() == {"sent": ACCOUNTS}
    assert service.stops == 1
    assert service.parts == [(0, 500), (500, 1_000)]
    assert service.states == ["running", "paused", "running", "completed"]
    assert "ACTIVITY_TASK_CANCELED" not in event_types(await handle.fetch_history())


async def test_a_process_that_ends_hands_over_what_is_left_of_its_slice(runs: WorkflowRuns) -> None:
    service = Service()
    async with runs.serving(*service.activities().all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, make_campaign())
        await service.begun.wait()
    service.waits = False
    async with runs.serving(*service.activities().all(), lane=Lane.BULK):
        assert await handle.result() == {"sent": ACCOUNTS}
    assert service.parts == [(0, 500), (500, 1_000)]
    assert "ACTIVITY_TASK_TIMED_OUT" not in event_types(await handle.fetch_history())


async def test_temporal_learns_the_code_of_a_failure_only(runs: WorkflowRuns) -> None:
    service = RefusingService()
    async with runs.serving(*service.activities().all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, make_campaign())
        with pytest.raises(WorkflowFailureError) as failure:
            await handle.result()
    assert isinstance(failure.value.cause, ActivityError)
    cause = failure.value.cause.cause
    assert isinstance(cause, ApplicationError)
    assert (cause.type, cause.message, cause.non_retryable) == (
        "campaign_finished",
        "campaign_finished",
        True,
    )
    [recorded] = service.failed_runs
    assert (recorded.code, recorded.final) == ("campaign_finished", True)
    assert recorded.run_id == (await handle.describe()).run_id


async def test_the_scan_restarts_campaigns_without_a_run_and_one_that_refuses_keeps_no_other(
    runs: WorkflowRuns,
) -> None:
    service = Service(
        refusals={
            "gone": UnavailableError(code="temporal_unavailable", reason="away"),
            "of another version": ValueError("cannot be read"),
        }
    )
    scan = ScriptedScan(due=3)
    activities = service.activities()
    async with runs.serving(scan.expire, scan.start_page, activities.restart, lane=Lane.MASTER):
        handle = await runs.start(PushNotificationsWorker, ScanParams())
        assert await handle.result() == ScanCounts(expired=7, started=3, pages=1, campaigns=1)

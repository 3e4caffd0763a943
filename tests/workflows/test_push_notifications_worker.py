"""The master worker: pages, continues as new, runs on a schedule and never twice at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import (
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleBackfill,
    ScheduleHandle,
    ScheduleOverlapPolicy,
)

from modules.application.worker import Lane
from modules.notification.workers import push_notifications_worker
from modules.notification.workers.params import ScanCounts, ScanParams
from modules.notification.workers.push_notifications_worker import PushNotificationsWorker
from tests.support.workflow_runs import ScriptedScan, WorkflowRuns, event_types, whole_chain, workflow_runs

MOST_EVENTS = 2_000


async def test_a_scan_pages_to_the_end_and_counts(runs: WorkflowRuns) -> None:
    scan = ScriptedScan(due=12, page_size=5)
    async with runs.serving(*scan.all(), lane=Lane.MASTER):
        handle = await runs.start(PushNotificationsWorker, ScanParams())
        counts = await handle.result()
        metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    assert counts == ScanCounts(expired=7, started=12, pages=3)
    assert [cursor and cursor.notification_id for cursor in scan.cursors] == [None, "5", "10"]
    assert metadata.current_details.startswith("12 worker(s) and 0 batch(es) started")


async def test_an_empty_backlog_is_one_page(runs: WorkflowRuns) -> None:
    scan = ScriptedScan(due=0)
    async with runs.serving(*scan.all(), lane=Lane.MASTER):
        handle = await runs.start(PushNotificationsWorker, ScanParams())
        assert await handle.result() == ScanCounts(expired=7, pages=1)


async def test_a_long_scan_continues_as_new_where_it_was(
    runs: WorkflowRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_notifications_worker, "PAGES_PER_RUN", 2)
    scan = ScriptedScan(due=23, page_size=5)
    async with runs.serving(*scan.all(), lane=Lane.MASTER, sandboxed=False):
        handle = await runs.start(PushNotificationsWorker, ScanParams())
        first_run_id = (await handle.describe()).run_id
        counts = await handle.result()
    assert counts == ScanCounts(expired=7, started=23, pages=5)
    assert (scan.expiries, scan.restarts) == (1, 1), "only the first run expires and looks after campaigns"
    assert [cursor and cursor.notification_id for cursor in scan.cursors] == [None, "5", "10", "15", "20"]
    assert len(await whole_chain(runs.client, "push-notifications", first_run_id)) == 3


async def test_a_hundred_thousand_rows_keep_every_history_short(runs: WorkflowRuns) -> None:
    scan = ScriptedScan(due=100_000, page_size=500)
    async with runs.serving(*scan.all(), lane=Lane.MASTER):
        handle = await runs.start(PushNotificationsWorker, ScanParams())
        first_run_id = (await handle.describe()).run_id
        counts = await handle.result()
    assert counts == ScanCounts(expired=7, started=100_000, pages=201)
    histories = await whole_chain(runs.client, "push-notifications", first_run_id)
    lengths = [len(history.events) for history in histories]
    assert len(lengths) > 1
    assert max(lengths) <= MOST_EVENTS
    assert all("TASK_FAILED" not in name for each in histories for name in event_types(each))


async def test_the_schedule_is_created_once_and_brought_up_to_date(runs: WorkflowRuns) -> None:
    first = await runs.runtime.schedules.schedule_as_cron(PushNotificationsWorker, "*/5 * * * *")
    handle = runs.client.get_schedule_handle(first)
    every_five = (await handle.describe()).schedule
    assert every_five.policy.overlap is ScheduleOverlapPolicy.SKIP
    minutes = [(each.start, each.end, each.step) for each in every_five.spec.calendars[0].minute]
    assert minutes == [(0, 59, 5)]
    assert isinstance(every_five.action, ScheduleActionStartWorkflow)
    assert every_five.action.task_queue == runs.runtime.task_queue(Lane.MASTER)

    assert await runs.runtime.schedules.schedule_as_cron(PushNotificationsWorker, "7 * * * *") == first
    updated = (await handle.describe()).schedule
    assert [each.start for each in updated.spec.calendars[0].minute] == [7]
    assert len(updated.spec.calendars) == 1
    assert updated.policy.overlap is ScheduleOverlapPolicy.SKIP


async def test_two_environments_of_one_namespace_both_scan_at_one_tick(
    runs: WorkflowRuns, temporal_address: str
) -> None:
    tick = datetime(2026, 1, 1, tzinfo=UTC)
    passed = ScheduleBackfill(start_at=tick - timedelta(minutes=1), end_at=tick + timedelta(minutes=1))

    async def scans_of(schedule: ScheduleHandle) -> list[str]:
        while True:
            started = [each.action for each in (await schedule.describe()).info.recent_actions]
            if started:
                return [
                    each.workflow_id
                    for each in started
                    if isinstance(each, ScheduleActionExecutionStartWorkflow)
                ]
            await asyncio.sleep(0.05)

    async with workflow_runs(temporal_address) as others:
        for each in (runs, others):
            schedule_id = await each.runtime.schedules.schedule_as_cron(PushNotificationsWorker, "0 0 1 1 *")
            schedule = runs.client.get_schedule_handle(schedule_id)
            await schedule.backfill(passed)
            async with asyncio.timeout(20):
                [workflow_id] = await scans_of(schedule)
            assert workflow_id.startswith(f"{schedule_id}-2026-01-01T00:00:00")
            await runs.client.get_workflow_handle(workflow_id).terminate()


async def test_a_triggered_scan_gives_its_counts(runs: WorkflowRuns) -> None:
    await runs.runtime.schedules.schedule_as_cron(PushNotificationsWorker, "0 0 1 1 *")
    scan = ScriptedScan(due=3)
    async with runs.serving(*scan.all(), lane=Lane.MASTER):
        for _ in range(2):
            counts = await runs.runtime.schedules.run_now(PushNotificationsWorker, wait_seconds=60)
            assert counts == ScanCounts(expired=7, started=3, pages=1)
    assert scan.expiries == 2


async def test_a_large_backlog_goes_to_batch_workers_and_the_counts_say_so(runs: WorkflowRuns) -> None:
    scan = ScriptedScan(due=12, page_size=5, batched=True, campaigns=2)
    async with runs.serving(*scan.all(), lane=Lane.MASTER):
        handle = await runs.start(PushNotificationsWorker, ScanParams())
        counts = await handle.result()
    assert counts == ScanCounts(expired=7, batches=3, pages=3, campaigns=2)
    assert [cursor and cursor.batched for cursor in scan.cursors] == [None, True, True]

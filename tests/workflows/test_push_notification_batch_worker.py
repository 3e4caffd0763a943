"""The batch worker and the scan that starts it: one worker a page, above the configured number of rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from temporalio.api.sdk.v1 import WorkflowMetadata

from modules.application.application_service import ApplicationService
from modules.application.errors import UnavailableError
from modules.application.worker import Lane, WorkerClass
from modules.notification.notification_service import NotificationService
from modules.notification.types import DueRow, DueRows, Priority
from modules.notification.workers.activities import BATCH_ROWS, PushNotificationActivities
from modules.notification.workers.params import BatchParams, DueKey, ScanCounts, ScanParams
from modules.notification.workers.push_notification_batch_worker import PushNotificationBatchWorker
from modules.notification.workers.push_notification_worker import PushNotificationWorker
from modules.notification.workers.push_notifications_worker import PushNotificationsWorker
from tests.support.workflow_runs import ScriptedScan, WorkflowRuns, event_types

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
UNTIL = NOON + timedelta(hours=1)


def make_batch(**over: Any) -> BatchParams:
    key = DueKey(due_at=NOON.isoformat(), notification_id="row-9")
    wanted = {"first_id": "row-1", "rows": 9, "after": None, "last": key}
    return BatchParams(**{**wanted, **over})


@dataclass
class Backlog:
    """The services as the scan's activities ask them: rows due one second after another."""

    rows: list[DueRow]
    running: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    started: list[tuple[WorkerClass, Any]] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)
    ranges: list[dict[str, Any]] = field(default_factory=list)

    def activities(self, *, batch_threshold: int, batch_rows: int = BATCH_ROWS) -> PushNotificationActivities:
        return PushNotificationActivities(
            notifications=cast("type[NotificationService]", self),
            application=cast("type[ApplicationService]", self),
            page_size=500,
            batch_threshold=batch_threshold,
            batch_rows=batch_rows,
        )

    async def due_count_async(self, *, limit: int) -> int:
        return min(len(self.rows), limit)

    async def due_page_async(
        self, *, after: tuple[datetime, str] | None, until: datetime | None, limit: int
    ) -> DueRows:
        self.limits.append(limit)
        keys = [(row.due_at, row.notification_id) for row in self.rows]
        first = 0 if after is None else keys.index(after) + 1
        return DueRows(rows=tuple(self.rows[first : first + limit]), until=until or UNTIL)

    async def start_worker_async(self, *, cls: WorkerClass, params: Any) -> bool:
        name = cls.describe(params).workflow_id
        if name in self.refused:
            raise UnavailableError(code="temporal_unavailable", reason="refused")
        self.started.append((cls, params))
        return name not in self.running

    async def deliver_due_range_async(self, *, heartbeat: Callable[[], None], **asked: Any) -> dict[str, int]:
        heartbeat()
        self.ranges.append(asked)
        return {"sent": 8, "failed": 1}

    def of(self, cls: WorkerClass) -> list[Any]:
        return [params for started, params in self.started if started is cls]


def make_rows(number: int, *, immediate: frozenset[int] = frozenset()) -> list[DueRow]:
    return [
        DueRow(
            notification_id=f"row-{place}",
            account_id="account-1",
            priority=Priority.IMMEDIATE if place in immediate else Priority.NORMAL,
            due_at=NOON + timedelta(seconds=place),
            reclaimed=place % 10 == 9,
        )
        for place in range(number)
    ]


async def scan(
    runs: WorkflowRuns, backlog: Backlog, *, batch_threshold: int, batch_rows: int = BATCH_ROWS
) -> ScanCounts:
    scripted = ScriptedScan(due=0)
    activities = backlog.activities(batch_threshold=batch_threshold, batch_rows=batch_rows)
    async with runs.serving(
        activities.start_due, scripted.expire, scripted.restart_campaigns, lane=Lane.MASTER
    ):
        handle = await runs.start(PushNotificationsWorker, ScanParams())
        counts: ScanCounts = await handle.result()
    return counts


async def test_a_page_is_one_activity_with_the_page_as_its_range(runs: WorkflowRuns) -> None:
    backlog = Backlog(rows=[])
    after = DueKey(due_at=(NOON - timedelta(hours=1)).isoformat(), notification_id="row-0")
    activities = backlog.activities(batch_threshold=0)
    async with runs.serving(activities.deliver_range, lane=Lane.BULK):
        handle = await runs.start(PushNotificationBatchWorker, make_batch(after=after))
        assert await handle.result() == {"sent": 8, "failed": 1}
        metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    described = await handle.describe()
    assert backlog.ranges == [{"after": (NOON - timedelta(hours=1), "row-0"), "last": (NOON, "row-9")}]
    assert (described.id, described.task_queue) == ("push-batch/row-1", runs.runtime.task_queue(Lane.BULK))
    assert metadata.current_details == "1 failed, 8 sent"
    assert event_types(await handle.fetch_history()).count("ACTIVITY_TASK_SCHEDULED") == 1


async def test_up_to_the_threshold_each_row_has_a_worker(runs: WorkflowRuns) -> None:
    backlog = Backlog(make_rows(600))
    counts = await scan(runs, backlog, batch_threshold=600)
    assert counts == ScanCounts(expired=7, started=600, reclaimed=60, pages=2)
    assert [params.notification_id for params in backlog.of(PushNotificationWorker)] == [
        row.notification_id for row in backlog.rows
    ]
    assert backlog.limits == [500, 500]


async def test_above_the_threshold_each_page_has_one_and_immediate_rows_keep_theirs(
    runs: WorkflowRuns,
) -> None:
    backlog = Backlog(make_rows(2_500, immediate=frozenset({0, 999, 1_700})))
    counts = await scan(runs, backlog, batch_threshold=2_000, batch_rows=1_000)
    assert counts == ScanCounts(expired=7, started=3, batches=3, reclaimed=250, pages=3)
    own = [params.notification_id for params in backlog.of(PushNotificationWorker)]
    assert sorted(own) == ["row-0", "row-1700", "row-999"]
    batches = backlog.of(PushNotificationBatchWorker)
    assert [(batch.first_id, batch.rows) for batch in batches] == [
        ("row-1", 998),
        ("row-1000", 999),
        ("row-2000", 500),
    ]
    assert [batch.after and batch.after.notification_id for batch in batches] == [None, "row-999", "row-1999"]
    assert [batch.last.notification_id for batch in batches] == ["row-998", "row-1999", "row-2499"]
    assert backlog.limits == [1_000] * 3


async def test_a_batch_under_way_counts_its_rows_as_running(runs: WorkflowRuns) -> None:
    backlog = Backlog(make_rows(30), running={"push-batch/row-0"})
    assert await scan(runs, backlog, batch_threshold=29) == ScanCounts(expired=7, already_running=30, pages=1)


async def test_a_worker_that_cannot_be_started_leaves_the_others_be(runs: WorkflowRuns) -> None:
    backlog = Backlog(make_rows(30, immediate=frozenset({3})), refused={"push-batch/row-0"})
    assert await scan(runs, backlog, batch_threshold=29) == ScanCounts(expired=7, started=1, pages=1)

"""Connects the workflows to the notification module; nothing here decides anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from temporalio import activity

from modules.application.activity_boundary import heartbeating, without_content
from modules.application.application_service import ApplicationService
from modules.application.errors import ServiceError
from modules.application.worker import WorkerClass
from modules.logger.logger_service import get_logger
from modules.notification.notification_service import NotificationService
from modules.notification.types import DeliveryReport, DueRow, Priority, PushNotificationWorkerParams
from modules.notification.workers.params import (
    BatchParams,
    DeliverParams,
    DueCursor,
    DueKey,
    DuePage,
    ScanParams,
)
from modules.notification.workers.push_notification_batch_worker import (
    DELIVER_RANGE_ACTIVITY,
    PushNotificationBatchWorker,
)
from modules.notification.workers.push_notification_worker import DELIVER_ACTIVITY, PushNotificationWorker
from modules.notification.workers.push_notifications_worker import EXPIRE_ACTIVITY, START_ACTIVITY

CONCURRENT_STARTS = 32
EXPIRY_BATCH = 1_000
BATCH_ROWS = 2_500


class PushNotificationActivities:
    """The activities of the workers of rows and of the scan. Everything is asked of the services."""

    def __init__(
        self,
        *,
        notifications: type[NotificationService],
        application: type[ApplicationService],
        page_size: int,
        batch_threshold: int,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        """`page_size`: rows a page for individual workers. Past `batch_threshold` due rows a scan batches, so
        many rows a batch worker."""
        self._notifications = notifications
        self._application = application
        self._page_size = page_size
        self._batch_threshold = batch_threshold
        self._batch_rows = batch_rows

    def all(self) -> list[Callable[..., Any]]:
        return [self.deliver, self.deliver_range, self.expire_overdue, self.start_due]

    @activity.defn(name=DELIVER_ACTIVITY)
    async def deliver(self, params: DeliverParams) -> list[DeliveryReport]:
        """One round of attempts for every row that is due; one report an id, in order."""
        service = self._notifications
        deliver = service.deliver_grouped_async if params.grouped else service.deliver_async
        return await without_content(deliver(notification_ids=params.notification_ids))

    @activity.defn(name=DELIVER_RANGE_ACTIVITY)
    async def deliver_range(self, params: BatchParams) -> dict[str, int]:
        """Deliver the rows of a range, all but immediate ones; returns them by the status they came to."""
        after = params.after
        async with heartbeating():
            return await without_content(
                self._notifications.deliver_due_range_async(
                    after=None if after is None else _keyset(after),
                    last=_keyset(params.last),
                    heartbeat=activity.heartbeat,
                )
            )

    @activity.defn(name=EXPIRE_ACTIVITY)
    async def expire_overdue(self) -> int:
        """End every row past `expires_at` that nobody is delivering; returns how many.

        Then apply the receipts that lost processes left, which nothing waits for.
        """
        expired = await without_content(self._expire_all())
        async with heartbeating():
            await without_content(self._apply_left_receipts())
        return expired

    @activity.defn(name=START_ACTIVITY)
    async def start_due(self, params: ScanParams) -> DuePage:
        """Start a worker for each row of the next page that is due, or one for all but the immediate ones.

        The first page decides for the whole scan, by how many rows are due.
        """
        return await without_content(self._start_page(params.cursor))

    async def _expire_all(self) -> int:
        total = 0
        while True:
            expired = await self._notifications.expire_overdue_async(limit=EXPIRY_BATCH)
            total += expired
            activity.heartbeat(total)
            if expired == 0:
                return total

    async def _start_page(self, cursor: DueCursor | None) -> DuePage:
        batched = await self._is_large() if cursor is None else cursor.batched
        limit = self._batch_rows if batched else self._page_size
        after = None if cursor is None else (datetime.fromisoformat(cursor.due_at), cursor.notification_id)
        until = None if cursor is None else datetime.fromisoformat(cursor.until)
        due = await self._notifications.due_page_async(after=after, until=until, limit=limit)
        starts = [_individual(row) for row in due.rows if not batched or row.priority is Priority.IMMEDIATE]
        others = [row for row in due.rows if batched and row.priority is not Priority.IMMEDIATE]
        if others:
            starts.append(_batch(others, cursor))
        page = await self._started(starts)
        last = due.rows[-1] if len(due.rows) == limit else None
        return page if last is None else replace(page, cursor=_cursor_after(last, due.until, batched=batched))

    async def _is_large(self) -> bool:
        due = await self._notifications.due_count_async(limit=self._batch_threshold + 1)
        return due > self._batch_threshold

    async def _apply_left_receipts(self) -> None:
        try:
            applied = await self._notifications.apply_left_receipts_async()
        except ServiceError as error:
            get_logger().warning("receipts left", action="push.receipts_left", code=error.code)
            return
        if applied:
            get_logger().info("receipts of lost processes", action="push.receipts_applied", receipts=applied)

    async def _started(self, starts: Sequence[_Start]) -> DuePage:
        """Start all, some at a time. Raises what refused them if that refused every one."""
        free = asyncio.Semaphore(CONCURRENT_STARTS)

        async def start(each: _Start) -> bool:
            async with free:
                started = await self._application.start_worker_async(cls=each.cls, params=each.params)
                activity.heartbeat()
                return started

        outcomes = await asyncio.gather(*(start(each) for each in starts), return_exceptions=True)
        refused = [each for each in outcomes if isinstance(each, BaseException)]
        if refused and len(refused) == len(starts):
            raise refused[0]
        # One that cannot be started must not keep all later ones from it; the next scan tries again.
        if refused:
            get_logger().warning("workers not started", action="scan.refused", workers=len(refused))
        new = [each for each, outcome in zip(starts, outcomes, strict=True) if outcome is True]
        running = [each for each, outcome in zip(starts, outcomes, strict=True) if outcome is False]
        batches = sum(each.cls is PushNotificationBatchWorker for each in new)
        return DuePage(
            started=len(new) - batches,
            reclaimed=sum(row.reclaimed for each in new for row in each.rows),
            already_running=sum(len(each.rows) for each in running),
            cursor=None,
            batches=batches,
        )


@dataclass(frozen=True, slots=True)
class _Start:
    """A worker to start for some rows."""

    cls: WorkerClass
    params: Any
    rows: Sequence[DueRow]


def _individual(row: DueRow) -> _Start:
    params = PushNotificationWorkerParams(
        notification_id=row.notification_id, account_id=row.account_id, priority=row.priority.value
    )
    return _Start(PushNotificationWorker, params, [row])


def _batch(rows: Sequence[DueRow], cursor: DueCursor | None) -> _Start:
    """For `rows` of the page that begins after `cursor`."""
    after = None
    if cursor is not None:
        after = DueKey(due_at=cursor.due_at, notification_id=cursor.notification_id)
    params = BatchParams(
        first_id=rows[0].notification_id,
        rows=len(rows),
        after=after,
        last=DueKey(due_at=rows[-1].due_at.isoformat(), notification_id=rows[-1].notification_id),
    )
    return _Start(PushNotificationBatchWorker, params, rows)


def _cursor_after(row: DueRow, until: datetime, *, batched: bool) -> DueCursor:
    return DueCursor(
        due_at=row.due_at.isoformat(),
        notification_id=row.notification_id,
        until=until.isoformat(),
        batched=batched,
    )


def _keyset(key: DueKey) -> tuple[datetime, str]:
    return datetime.fromisoformat(key.due_at), key.notification_id

"""Connects the workflows to the notification module; nothing here decides anything."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from modules.application.application_service import ApplicationService
from modules.application.errors import ServiceError
from modules.notification.notification_service import NotificationService
from modules.notification.types import DeliveryReport, DueRow
from modules.notification.workers.params import (
    DeliverParams,
    DueCursor,
    DuePage,
    PushNotificationWorkerParams,
    ScanParams,
)
from modules.notification.workers.push_notification_worker import DELIVER_ACTIVITY, PushNotificationWorker
from modules.notification.workers.push_notifications_worker import EXPIRE_ACTIVITY, START_ACTIVITY

ResultT = TypeVar("ResultT")

CONCURRENT_STARTS = 32
EXPIRY_BATCH = 1_000


class PushNotificationActivities:
    """The activities of both workers. Everything is asked of the services."""

    def __init__(self, *, page_size: int) -> None:
        self._page_size = page_size

    def all(self) -> list[Callable[..., Any]]:
        return [self.deliver, self.expire_overdue, self.start_due]

    @activity.defn(name=DELIVER_ACTIVITY)
    async def deliver(self, params: DeliverParams) -> list[DeliveryReport]:
        """One round of attempts for every row that is due; one report an id, in order."""
        return await _without_content(
            NotificationService.deliver_async(notification_ids=params.notification_ids)
        )

    @activity.defn(name=EXPIRE_ACTIVITY)
    async def expire_overdue(self) -> int:
        """End every row past `expires_at` that nobody is delivering; returns how many."""
        return await _without_content(self._expire_all())

    @activity.defn(name=START_ACTIVITY)
    async def start_due(self, params: ScanParams) -> DuePage:
        """Start an individual worker for each row of the next page that is due."""
        return await _without_content(self._start_page(params.cursor))

    async def _expire_all(self) -> int:
        total = 0
        while True:
            expired = await NotificationService.expire_overdue_async(limit=EXPIRY_BATCH)
            total += expired
            activity.heartbeat(total)
            if expired == 0:
                return total

    async def _start_page(self, cursor: DueCursor | None) -> DuePage:
        after = None if cursor is None else (datetime.fromisoformat(cursor.due_at), cursor.notification_id)
        until = None if cursor is None else datetime.fromisoformat(cursor.until)
        due = await NotificationService.due_page_async(after=after, until=until, limit=self._page_size)
        rows = due.rows
        free = asyncio.Semaphore(CONCURRENT_STARTS)

        async def start(params: PushNotificationWorkerParams) -> bool:
            async with free:
                started = await ApplicationService.start_worker_async(
                    cls=PushNotificationWorker, params=params
                )
                activity.heartbeat()
                return started

        outcomes = await asyncio.gather(
            *(
                start(
                    PushNotificationWorkerParams(
                        notification_id=row.notification_id,
                        account_id=row.account_id,
                        priority=row.priority.value,
                    )
                )
                for row in rows
            ),
            return_exceptions=True,
        )
        refused = [each for each in outcomes if isinstance(each, BaseException)]
        if refused and len(refused) == len(rows):
            raise refused[0]
        # One row that cannot be started must not keep all later ones from it; the next scan tries again.
        if refused:
            structlog.get_logger().warning("workers not started", action="scan.refused", rows=len(refused))
        started = [each is True for each in outcomes]
        last = rows[-1] if len(rows) == self._page_size else None
        return DuePage(
            started=sum(started),
            reclaimed=sum(new and row.reclaimed for new, row in zip(started, rows, strict=True)),
            already_running=len(rows) - sum(started) - len(refused),
            cursor=None if last is None else _cursor_after(last, due.until),
        )


def _cursor_after(row: DueRow, until: datetime) -> DueCursor:
    return DueCursor(
        due_at=row.due_at.isoformat(), notification_id=row.notification_id, until=until.isoformat()
    )


async def _without_content(work: Awaitable[ResultT]) -> ResultT:
    """Let only codes reach Temporal's history: an exception's own text can hold content or addresses."""
    try:
        return await work
    except ServiceError as error:
        raise ApplicationError(error.code, type=error.code) from None
    except Exception as error:  # noqa: BLE001 - raised again, without its text
        name = type(error).__name__
        structlog.get_logger().error(
            "activity failed", action="activity.failed", error=name, frames=_frames(error)
        )
        raise ApplicationError(name, type=name) from None


def _frames(error: BaseException) -> list[str]:
    return [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]

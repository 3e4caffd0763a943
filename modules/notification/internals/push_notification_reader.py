"""Reads push notifications for services, operators and the scan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from bson import ObjectId
from bson.errors import InvalidId

from modules.application.mongo_database import DatabaseClock
from modules.notification.errors import PushNotificationNotFoundError
from modules.notification.internals.store.push_notification_model import PushNotificationModel
from modules.notification.internals.store.push_notification_repository import PushNotificationRepository
from modules.notification.internals.store.rows.row_standing import RowStanding
from modules.notification.types import DeviceDelivery, DueRows, PushNotification, TimelineEntry


class PushNotificationReader:
    """A failed read is an error, never an empty answer. Raises UnavailableError without MongoDB."""

    def __init__(self, repository: PushNotificationRepository, clock: DatabaseClock) -> None:
        self._repository = repository
        self._clock = clock

    async def get(self, notification_id: str) -> PushNotificationModel:
        """The row of this id; raises PushNotificationNotFoundError, also for what is no id at all.

        Raises UnreadableRecordError for a row that another version of the service wrote.
        """
        row = await self._repository.find(row_id_of(notification_id))
        if row is None:
            raise PushNotificationNotFoundError
        return row

    async def standings(self, row_ids: Sequence[ObjectId]) -> list[RowStanding]:
        """How the rows of these ids that exist stand, in no order; also those this version cannot read."""
        return await self._repository.standings(row_ids)

    async def newest(
        self, account_id: str, *, limit: int, before: datetime | None = None
    ) -> list[PushNotificationModel]:
        """The account's rows, newest first."""
        return await self._repository.newest(account_id, limit=limit, before=before)

    async def due_page(
        self, *, after: tuple[datetime, str] | None, until: datetime | None, limit: int
    ) -> DueRows:
        """Rows due at `until` (None: now, by the database's clock), after the keyset (due_at, id).

        A scan that keeps to one `until` ends, however many rows become due while it runs.
        """
        keyset = None if after is None else (after[0], row_id_of(after[1]))
        until = until or await self._clock.now()
        rows = await self._repository.due.page(now=until, after=keyset, limit=limit)
        return DueRows(rows=tuple(rows), until=until)

    async def due_count(self, *, limit: int) -> int:
        """How many rows are due now, counted up to `limit`."""
        return await self._repository.due.count(now=await self._clock.now(), limit=limit)

    async def due_range(
        self, *, after: tuple[datetime, str] | None, last: tuple[datetime, str]
    ) -> list[ObjectId]:
        """The ids of normal rows due from the keyset `after` (left out) to `last`, oldest first."""
        first = None if after is None else (after[0], row_id_of(after[1]))
        return await self._repository.due.range(after=first, last=(last[0], row_id_of(last[1])))


def row_id_of(notification_id: str) -> ObjectId:
    """The row's id; raises PushNotificationNotFoundError for text that cannot be one."""
    [row_id] = row_ids_of([notification_id])
    return row_id


def row_ids_of(notification_ids: Iterable[str]) -> list[ObjectId]:
    """The rows' ids, in order; raises as `row_id_of` does."""
    try:
        return [ObjectId(each) for each in notification_ids]
    except (InvalidId, TypeError):
        raise PushNotificationNotFoundError from None


def to_public(row: PushNotificationModel) -> PushNotification:
    """The row as callers see it: without device tokens and claim."""
    return PushNotification(
        id=str(row.id),
        account_id=row.account_id,
        status=row.status,
        priority=row.priority,
        active=row.active,
        category=row.category,
        title=row.title,
        body=row.body,
        retry_count=row.retry_count,
        max_retries=row.max_retries,
        next_retry_at=row.next_retry_at,
        expires_at=row.expires_at,
        error_type=row.error_type,
        error_message=row.error_message,
        created_at=row.created_at,
        updated_at=row.updated_at,
        sent_at=row.sent_at,
        delivered_at=row.delivered_at,
        correlation_id=row.correlation_id,
        idempotency_key=row.idempotency_key,
        devices=tuple(
            DeviceDelivery(
                device_id=device.device_id,
                app_id=device.app_id,
                outcome=device.outcome,
                code=device.code,
                attempts=device.attempts,
                unknown_attempts=device.unknown_attempts,
                message_id=device.message_id,
                last_attempt_at=device.last_attempt_at,
            )
            for device in row.devices
        ),
        timeline=tuple(
            TimelineEntry(at=event.at, event=event.event, detail=event.detail) for event in row.events
        ),
    )

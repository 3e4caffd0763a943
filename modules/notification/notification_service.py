"""The notification service as callers see it: send, read, list, cancel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from modules.application.event_loop_thread import EventLoopThread
from modules.application.mongo_database import MongoDatabase
from modules.application.service_facade import ServiceFacade, blocking
from modules.config.types import Settings
from modules.notification.bulk_service import BulkService
from modules.notification.internals.bulk_core import assemble_bulk
from modules.notification.internals.intake.request_acceptance import RunWorker
from modules.notification.internals.notification_core import NotificationCore, assemble, check_providers
from modules.notification.internals.push_notification_reader import row_ids_of
from modules.notification.types import (
    DeliveryReport,
    DueRows,
    NotificationErasure,
    PushNotification,
    SendPushParams,
    TimelineEntry,
)


class NotificationService(ServiceFacade[NotificationCore]):
    """Sends push notifications to accounts. Usable after `bootstrap` has run in the process.

    Every method has an async twin with the same arguments, and works from plain code and from code under a
    running event loop. All raise NotBootstrappedError before bootstrap and UnavailableError when MongoDB does
    not answer.
    """

    @classmethod
    async def start(
        cls,
        *,
        database: MongoDatabase,
        loop_thread: EventLoopThread,
        settings: Settings,
        run_worker: RunWorker,
    ) -> None:
        """Create the collection and bind the service to the loop; called by bootstrap, safe to repeat."""

        async def assembled() -> NotificationCore:
            core = assemble(settings, database, run_worker)
            await core.ensure()
            BulkService.bind(assemble_bulk(settings, database, core), loop_thread)
            return core

        cls.bind(await loop_thread.call(assembled), loop_thread)

    @classmethod
    async def warm_up(cls) -> None:
        """Read the providers' credentials and get access tokens; for processes that send.

        What cannot be used is logged, and closes its own app to sends until it is mended.
        """
        await cls._on_core(lambda core: core.warm_up())

    @classmethod
    async def stop(cls) -> None:
        """Release the providers' connections; called when the application closes."""
        await cls._on_core(lambda core: core.close())

    @classmethod
    async def send_push_for_account_async(
        cls,
        *,
        account_id: str,
        params: SendPushParams,
        immediate: bool = False,
        expires_at: datetime | None = None,
        expires_in: timedelta | None = None,
        idempotency_key: str | None = None,
        correlation_id: str | None = None,
    ) -> str:
        """Accept one push for every device of an account; returns the notification's id.

        The row is durable on a majority of MongoDB before this returns. Not immediate: the master worker
        delivers it on its next scan. Immediate: it is delivered at once, preferences are not asked, and this
        returns as soon as the first round of attempts is recorded, after `immediate.wait_seconds`, or when
        the application closes and has waited for it long enough; read the outcome with
        `get_push_notification`. Nothing is sent once it has expired: `expires_in` after the database's now,
        or at `expires_at`, without a zone this host's local time. The same `idempotency_key` of an account
        with the same content returns the first id.

        Raises InvalidInputError with every problem, nothing written; IdempotencyKeyConflictError;
        ImmediateSendDeferredError, which carries the id, when Temporal cannot be reached;
        NotificationUnconfirmedError with the id of a row that may be stored, and may go out.
        """
        return await cls._on_core(
            lambda core: core.acceptance.send(
                account_id=account_id,
                params=params,
                immediate=immediate,
                expires_at=expires_at,
                expires_in=expires_in,
                idempotency_key=idempotency_key,
                correlation_id=correlation_id,
            )
        )

    @classmethod
    async def get_push_notification_async(cls, *, notification_id: str) -> PushNotification:
        """One notification with its devices and timeline; raises PushNotificationNotFoundError."""
        return await cls._on_core(lambda core: core.queries.get(notification_id))

    @classmethod
    async def list_push_notifications_async(
        cls, *, account_id: str, limit: int = 50, before: datetime | None = None
    ) -> list[PushNotification]:
        """The account's notifications, newest first, at most `limit` (1 to 500), created before `before`."""
        return await cls._on_core(
            lambda core: core.queries.newest(account_id=account_id, limit=limit, before=before)
        )

    @classmethod
    async def cancel_push_notification_async(cls, *, notification_id: str) -> PushNotification:
        """Take a pending notification out of delivery for good; returns it as it is then.

        One that is cancelled already is returned as it is. Raises PushNotificationNotFoundError, or
        PushNotificationNotCancellableError when it is being sent or is finished.
        """
        return await cls._on_core(lambda core: core.commands.cancel(notification_id))

    @classmethod
    async def get_timeline_async(cls, *, notification_id: str) -> tuple[TimelineEntry, ...]:
        """What happened to a notification and why, oldest first; raises PushNotificationNotFoundError."""
        notification = await cls.get_push_notification_async(notification_id=notification_id)
        return notification.timeline

    @classmethod
    async def deliver_async(cls, *, notification_ids: Sequence[str]) -> list[DeliveryReport]:
        """Make one round of attempts for every row that is due; one report an id, in order.

        What workers call. The claim decides who sends, so calling it twice sends once.
        """
        return await cls._on_core(lambda core: core.delivery.deliver(row_ids_of(notification_ids)))

    @classmethod
    async def deliver_grouped_async(cls, *, notification_ids: Sequence[str]) -> list[DeliveryReport]:
        """As `deliver_async`, a moment later, together with what others in this process ask for."""
        return await cls._on_core(lambda core: core.group.deliver(row_ids_of(notification_ids)))

    @classmethod
    async def due_page_async(
        cls, *, after: tuple[datetime, str] | None = None, until: datetime | None = None, limit: int
    ) -> DueRows:
        """At most `limit` rows due at `until` (None: now), oldest first, after the keyset (due_at, id)."""
        return await cls._on_core(lambda core: core.reader.due_page(after=after, until=until, limit=limit))

    @classmethod
    async def due_count_async(cls, *, limit: int) -> int:
        """How many rows are due now, counted up to `limit`."""
        return await cls._on_core(lambda core: core.reader.due_count(limit=limit))

    @classmethod
    async def deliver_due_range_async(
        cls, *, after: tuple[datetime, str] | None, last: tuple[datetime, str], heartbeat: Callable[[], None]
    ) -> dict[str, int]:
        """Deliver the normal rows due from the keyset `after` (left out) to `last`; counts them by status.

        What batch workers call; `heartbeat` is called after each chunk. Calling it twice sends once.
        """
        return await cls._on_core(
            lambda core: core.due_delivery.deliver_range(after=after, last=last, heartbeat=heartbeat)
        )

    @classmethod
    async def expire_overdue_async(cls, *, limit: int) -> int:
        """End at most `limit` rows past `expires_at` that nobody is delivering; returns how many."""
        return await cls._on_core(lambda core: core.writer.expire_overdue(limit=limit))

    @classmethod
    async def apply_left_receipts_async(cls) -> int:
        """Apply receipts that came before the outcomes of processes since lost; returns how many."""
        return await cls._on_core(lambda core: core.writer.apply_left_receipts())

    @classmethod
    async def record_delivered_async(
        cls, *, notification_id: str | None = None, message_id: str | None = None
    ) -> bool:
        """Take a `sent` notification to `delivered`, as a receipt says, by its id or FCM's name of a message.

        A receipt that comes before the outcome is written counts a moment after that, or with the next scan.
        False when there is nothing that it could take to `delivered`: unknown, failed, expired, cancelled, or
        delivered before.
        """
        return await cls._on_core(
            lambda core: core.commands.record_delivered(
                notification_id=notification_id, message_id=message_id
            )
        )

    @classmethod
    async def erase_account_async(cls, *, account_id: str) -> NotificationErasure:
        """Take the account's rows out of delivery and empty them; what stays says that and how they ended.

        Rows that are being sent may end for `delivery.lease_seconds`, then they are taken from who sends
        them. Safe to repeat, also after an error. The account's devices have to be gone before.
        """
        return await cls._on_core(lambda core: core.erasure.erase(account_id))

    @classmethod
    async def check_provider(cls, *, settings: Settings, app_id: str) -> None:
        """Check an app's credentials and have the provider validate one message, on channels of its own.

        Needs no bootstrap. Raises ConfigurationError or UnavailableError saying what is wrong.
        """
        await check_providers(settings, app_id)

    send_push_for_account = blocking(send_push_for_account_async)
    get_push_notification = blocking(get_push_notification_async)
    list_push_notifications = blocking(list_push_notifications_async)
    cancel_push_notification = blocking(cancel_push_notification_async)
    get_timeline = blocking(get_timeline_async)
    record_delivered = blocking(record_delivered_async)

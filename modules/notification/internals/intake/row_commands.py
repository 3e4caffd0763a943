"""What a caller may still do to a row that was accepted: cancel it, or say that it was delivered."""

from __future__ import annotations

from modules.application.param_rules import ProblemList
from modules.notification.errors import PushNotificationNotCancellableError
from modules.notification.internals.push_notification_reader import (
    PushNotificationReader,
    row_id_of,
    to_public,
)
from modules.notification.internals.push_notification_writer import PushNotificationWriter
from modules.notification.types import PushNotification

MAX_MESSAGE_ID_LENGTH = 512


class RowCommands:
    """All methods raise UnavailableError when MongoDB does not answer."""

    def __init__(self, writer: PushNotificationWriter, reader: PushNotificationReader) -> None:
        self._writer = writer
        self._reader = reader

    async def cancel(self, notification_id: str) -> PushNotification:
        """See NotificationService.cancel_push_notification."""
        cancelled = await self._writer.cancel(row_id_of(notification_id))
        row = await self._reader.get(notification_id)
        # Inactive means cancelled: by this call, or by one before that was repeated.
        if row.active and not cancelled:
            raise PushNotificationNotCancellableError(row.status.value)
        return to_public(row)

    async def record_delivered(self, *, notification_id: str | None, message_id: str | None) -> bool:
        """See NotificationService.record_delivered."""
        problems = ProblemList()
        if (notification_id is None) == (message_id is None):
            reason = "name the notification or the message, one of them"
            problems.add("invalid_receipt", "notification_id", reason)
            problems.refuse()
        if notification_id is not None:
            return await self._writer.record_receipt(row_id_of(notification_id))
        problems.name(message_id, "message_id", max_length=MAX_MESSAGE_ID_LENGTH)
        problems.refuse()
        return await self._writer.record_message_receipt(str(message_id))

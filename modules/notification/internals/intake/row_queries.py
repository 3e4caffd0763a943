"""Answers what callers ask about rows, in the form that callers see."""

from __future__ import annotations

from datetime import datetime

from modules.account.types import account_id_problems
from modules.application.local_time import Meant
from modules.application.param_rules import ProblemList
from modules.notification.internals.push_notification_reader import PushNotificationReader, to_public
from modules.notification.types import PushNotification

MAX_LIST_LIMIT = 500


class RowQueries:
    """All methods raise UnavailableError when MongoDB does not answer."""

    def __init__(self, reader: PushNotificationReader) -> None:
        self._reader = reader

    async def get(self, notification_id: str) -> PushNotification:
        """See NotificationService.get_push_notification."""
        return to_public(await self._reader.get(notification_id))

    async def newest(self, *, account_id: str, limit: int, before: datetime | None) -> list[PushNotification]:
        """See NotificationService.list_push_notifications."""
        problems = ProblemList()
        problems.extend(account_id_problems(account_id, field="account_id"))
        problems.limit(limit, most=MAX_LIST_LIMIT)
        until = problems.moment(before, "before", meant=Meant.BEHIND)
        problems.refuse()
        rows = await self._reader.newest(account_id, limit=limit, before=until)
        return [to_public(row) for row in rows]

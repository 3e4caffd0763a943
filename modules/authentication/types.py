"""The words of the authentication module: one-time passwords and how they are sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from modules.notification.types import SendPushParams

DEFAULT_PURPOSE = "login"


@dataclass(frozen=True, slots=True, kw_only=True)
class OneTimePasswordTicket:
    """A code was sent. `expires_at` is the database's time, aware and UTC; the code itself is not here."""

    id: str
    notification_id: str
    expires_at: datetime


class SendPush(Protocol):
    """What this module needs of the notification service: `send_push_for_account_async`."""

    async def __call__(
        self, *, account_id: str, params: SendPushParams, immediate: bool, expires_at: datetime
    ) -> str:
        """Send one push; returns the notification's id, raises ServiceError."""
        ...

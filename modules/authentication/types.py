"""The words of the authentication module: one-time passwords and how they are sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from modules.notification.types import PushNotification, SendPushParams, Status

DEFAULT_PURPOSE = "login"
CODE_PLACE: Final = "{code}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OneTimePasswordText:
    """What the push says: `{code}` stands once, in one of the two, where the code goes.

    `title` has 1 to 100 and `body` 1 to 500 characters; line breaks may stand in the body.
    """

    title: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OneTimePasswordTicket:
    """A code was sent; whoever verifies it has to show `id`. The code itself is not here.

    `expires_at` is the database's time, aware and UTC. `reached` counts the devices that the provider took
    the message for so far; 0 with the `status` pending or processing: it is still being tried.
    """

    id: str
    notification_id: str
    expires_at: datetime
    reached: int
    status: Status


class SendPush(Protocol):
    """What this module needs of the notification service: `send_push_for_account_async`."""

    async def __call__(
        self, *, account_id: str, params: SendPushParams, immediate: bool, expires_at: datetime
    ) -> str:
        """Send one push; returns the notification's id, raises ServiceError."""
        ...


class ReadPush(Protocol):
    """What this module needs of the notification service: `get_push_notification_async`."""

    async def __call__(self, *, notification_id: str) -> PushNotification:
        """The notification as it is now; raises ServiceError."""
        ...

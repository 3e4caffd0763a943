"""What the delivery code expects of a push provider; one small surface, so a provider is one folder."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from modules.notification.types import (
    Classification,
    Push,
    PushPayload,
    PushTarget,
    SendPushResult,
    TargetResult,
)

# As one multicast of FCM.
MAX_TARGETS = 500


class SendGuard(Protocol):
    """Decides for each message, and learns from each answer, while others are still on their way.

    Both methods are called on the channel's event loop and do no I/O.
    """

    def refusal(self, push: Push, target: PushTarget) -> Classification | None:
        """Asked when there is room for the message and nothing but its request is left to do.

        Asked again when the same request is to go out once more, as with another access token. None: it goes
        out now. Otherwise it is not attempted, and this is the target's result.
        """
        ...

    def answered(self, push: Push, target: PushTarget, result: TargetResult) -> None:
        """Told what became of a message that was let out, as soon as that is known."""
        ...


class _Unguarded:
    """Lets everything out."""

    def refusal(self, push: Push, target: PushTarget) -> Classification | None:
        return None

    def answered(self, push: Push, target: PushTarget, result: TargetResult) -> None:
        """Nobody wants to know."""


UNGUARDED: SendGuard = _Unguarded()


class PushChannel(Protocol):
    """A provider of push messages.

    Sending never raises for what a provider or the network answers: every target gets exactly one result, in
    order. It makes one attempt a target; when to try again is not its business.
    """

    @property
    def app_ids(self) -> Collection[str]:
        """The apps that have credentials. What goes to any other is answered, and nothing is sent."""
        ...

    async def send_each(self, pushes: Sequence[Push], *, guard: SendGuard) -> list[SendPushResult]:
        """Send each payload to its targets; returns one result a push, in the same order."""
        ...

    async def validate_push(self, targets: Sequence[PushTarget], payload: PushPayload) -> SendPushResult:
        """Have the provider check a payload for 1 to 500 targets, undelivered; answers as `send_each`."""
        ...

    async def warm_up(self) -> None:
        """Read every credential and get its access token, so that the first send need not.

        Raises nothing: one that cannot be used, is refused or cannot be checked now is logged, closes itself
        and no other, and is found again by the first send.
        """
        ...

    async def check_provider(self, app_id: str) -> None:
        """Check the app's credentials and have the provider validate one message without delivering it.

        Raises ConfigurationError or UnavailableError, in one line that holds no secret.
        """
        ...

    async def close(self) -> None:
        """Release connections; called once, when nothing is being sent any more."""
        ...

"""What the delivery code expects of a push provider; one small surface, so a provider is one folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from modules.notification.types import PushPayload, PushTarget, SendPushResult


class PushChannel(Protocol):
    """A provider of push messages.

    `send_push` never raises for what a provider or the network answers: every target gets exactly one
    result, in order. It makes one attempt a target; when to try again is not its business.
    """

    async def send_push(self, targets: Sequence[PushTarget], payload: PushPayload) -> SendPushResult:
        """Send one payload to every target; returns one result a target, in the same order."""
        ...

    async def warm_up(self) -> None:
        """Read every credential and get its access token, so that the first send need not.

        Raises ProviderConfigurationError for a credential that cannot be used; one that the provider refuses
        or cannot check now is logged, and found again by the first send.
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

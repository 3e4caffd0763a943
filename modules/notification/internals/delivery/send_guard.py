"""What stands between prepared rows and the wire: claim, wish, pause, expiry, and how old knowledge is."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from modules.application.mongo_database import DatabaseClock
from modules.application.steady_clock import steady_seconds
from modules.notification.internals.delivery.attempt_tally import AttemptTally
from modules.notification.internals.delivery.lease import Lease
from modules.notification.internals.delivery.row_outcome import FRESH_SECONDS
from modules.notification.internals.domain.deferrals import CLAIM_LOST, STALE, STOPPED, TOO_LATE, paused
from modules.notification.internals.domain.settlement import Fold
from modules.notification.internals.guards.provider_gate import ProviderGate
from modules.notification.internals.guards.send_permits import SendPermits
from modules.notification.types import Classification, Push, PushTarget, SendingStop, TargetResult

ResultT = TypeVar("ResultT")

# Half of FRESH_SECONDS is left for a portion to go out in.
LOOK_AGAIN_SECONDS = FRESH_SECONDS / 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeliveryLane:
    """What one kind of traffic has to itself: channels with their connections, its permits, its backoff."""

    channels: Mapping[str, ProviderGate]
    permits: SendPermits
    fold: Fold


@dataclass(frozen=True, slots=True)
class Batch:
    """What rows delivered together share. `known_at` is steady time: how fresh what is known of them is."""

    lease: Lease
    tally: AttemptTally
    stop: SendingStop | None
    known_at: float


@dataclass(frozen=True, slots=True)
class SendStream:
    """The way that parts of one lane, provider, app and flow take together."""

    lane: DeliveryLane
    channel: ProviderGate
    app_id: str
    flow: str


class PortionGuard:
    """A SendGuard: lets a message out while claim, wish, pause, expiry and knowledge allow it."""

    def __init__(self, stream: SendStream, batch: Batch, known_at: float, clock: DatabaseClock) -> None:
        self._stream = stream
        self._batch = batch
        self._known_at = known_at
        self._clock = clock

    def refusal(self, push: Push, target: PushTarget) -> Classification | None:
        batch, stream = self._batch, self._stream
        if not batch.lease.held():
            return CLAIM_LOST
        if batch.stop is not None and batch.stop.is_set():
            return STOPPED
        if steady_seconds() - self._known_at > FRESH_SECONDS:
            return STALE
        expires_at = push.payload.expires_at
        if expires_at is not None and self._clock.estimate() >= expires_at:
            return TOO_LATE
        seconds = stream.lane.permits.paused_seconds(stream.app_id)
        return paused(seconds) if seconds > 0 else None

    def answered(self, push: Push, target: PushTarget, result: TargetResult) -> None:
        self._stream.lane.permits.note(target.app_id, result)


async def read_wish(stop: SendingStop | None) -> None:
    """Have `stop` know what is wanted now; raises UnavailableError when that cannot be read."""
    if stop is not None:
        await stop.look()


async def dated(question: Awaitable[ResultT]) -> tuple[ResultT, float]:
    """The answer, and from when on, in steady time, what it says is to be looked at again.

    What a slow database answers is used at once: reckoned from the question it would be too old every time.
    """
    asked = steady_seconds()
    answer = await question
    return answer, max(asked, steady_seconds() - LOOK_AGAIN_SECONDS)

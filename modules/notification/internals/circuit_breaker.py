"""The circuit breaker of one credential: fails fast while a provider is down or refuses us; pure state."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from modules.notification.types import Outcome, TargetResult, ThrottleScope

_FAILURES = frozenset({Outcome.TRANSIENT, Outcome.UNKNOWN})


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing may be sent now, and for how many seconds."""

    code: str
    reason: str
    retry_after_seconds: float


class CircuitBreaker:
    """Counts consecutive failures; all times are seconds of one monotonic clock given by the caller.

    Opens after `failure_threshold` failures in a row, or at once when the provider refuses the credential.
    After `cooldown_seconds` one probe is let through: its answer closes or opens it again. A provider's
    project-wide 'slow down' pauses everything for as long as it says.
    """

    def __init__(self, *, failure_threshold: int, cooldown_seconds: float) -> None:
        self._threshold = failure_threshold
        self._cooldown = cooldown_seconds
        self._failures = 0
        self._open_until: float | None = None
        self._open_code = ""
        self._paused_until = 0.0
        self._probing = False

    def state(self, now: float) -> BreakerState:
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self._open_until else BreakerState.HALF_OPEN

    def admit(self, wanted: int, now: float) -> int:
        """How many of `wanted` sends may go out now; a half-open breaker admits one and waits for it."""
        if now < self._paused_until:
            return 0
        state = self.state(now)
        if state is BreakerState.CLOSED:
            return wanted
        if state is BreakerState.OPEN or self._probing or wanted == 0:
            return 0
        self._probing = True
        return 1

    def refusal(self, now: float) -> Refusal:
        """Why the sends that were not admitted have to wait."""
        if now < self._paused_until:
            return Refusal(
                "PROVIDER_PAUSED", "the provider asked everyone to slow down", self._paused_until - now
            )
        wait = max(1.0, (self._open_until or now) - now)
        return Refusal("CIRCUIT_OPEN", f"not tried: the provider failed before ({self._open_code})", wait)

    def record(self, result: TargetResult, now: float) -> bool:
        """Take note of an answer; True when this one opened the breaker."""
        verdict = result.classification
        if verdict.outcome is Outcome.THROTTLED and verdict.scope is ThrottleScope.PROJECT:
            until = now + (verdict.retry_after_seconds or verdict.min_backoff_seconds)
            self._paused_until = max(self._paused_until, until)
            self._probing = False
            return False
        if verdict.outcome is Outcome.MISCONFIGURED:
            return self._open(verdict.code, now)
        if verdict.outcome in _FAILURES:
            self._failures += 1
            if self._probing or self._failures >= self._threshold:
                return self._open(verdict.code, now)
            return False
        self._failures = 0
        self._open_until = None
        self._probing = False
        return False

    def abandon_probe(self) -> None:
        """The admitted probe was cancelled before it had an answer."""
        self._probing = False

    def _open(self, code: str, now: float) -> bool:
        was_closed = self._open_until is None
        self._open_until = now + self._cooldown
        self._open_code = code
        self._probing = False
        return was_closed

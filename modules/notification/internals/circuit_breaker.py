"""The circuit breaker of one credential: fails fast while a provider is down or refuses us; pure state."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from modules.notification.types import Outcome, TargetResult, ThrottleScope

# How soon to ask again while a probe has no answer yet.
PROBE_SECONDS = 1.0
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


@dataclass(frozen=True, slots=True, eq=False)
class Admission:
    """Leave for `count` sends. Each ends in one `record`, or all of them in one `give_back`."""

    count: int


class CircuitBreaker:
    """Counts consecutive failures; all times are seconds of one monotonic clock given by the caller.

    Opens after `failure_threshold` failures in a row, or at once when the provider refuses the credential.
    After `cooldown_seconds` one probe is let through: its answer closes or opens it again. The probe belongs
    to its admission: no other ends it. A provider's project-wide 'slow down' pauses everything for as long as
    it says. What was not attempted says nothing of the provider.
    """

    def __init__(self, *, failure_threshold: int, cooldown_seconds: float) -> None:
        self._threshold = failure_threshold
        self._cooldown = cooldown_seconds
        self._failures = 0
        self._open_until: float | None = None
        self._open_code = ""
        self._paused_until = 0.0
        self._probe: Admission | None = None

    def state(self, now: float) -> BreakerState:
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self._open_until else BreakerState.HALF_OPEN

    def is_closed(self, now: float) -> bool:
        """Whether everything would be admitted."""
        return self._open_until is None and now >= self._paused_until

    def admit(self, wanted: int, now: float) -> Admission:
        """Leave for as many of `wanted` sends as may go out now: one of a half-open breaker, its probe."""
        if now < self._paused_until:
            return Admission(0)
        state = self.state(now)
        if state is BreakerState.CLOSED:
            return Admission(wanted)
        if state is BreakerState.OPEN or self._probe is not None or wanted == 0:
            return Admission(0)
        self._probe = Admission(1)
        return self._probe

    def closed_seconds(self, now: float) -> float:
        """How long nothing will be admitted; 0 when something is."""
        waiting = PROBE_SECONDS if self._probe is not None else 0.0
        return max(waiting, self._paused_until - now, (self._open_until or now) - now)

    def refusal(self, now: float) -> Refusal:
        """Why the sends that were not admitted have to wait."""
        if now < self._paused_until:
            return Refusal(
                "PROVIDER_PAUSED", "the provider asked everyone to slow down", self._paused_until - now
            )
        wait = max(1.0, (self._open_until or now) - now)
        return Refusal("CIRCUIT_OPEN", f"not tried: the provider failed before ({self._open_code})", wait)

    def record(self, result: TargetResult, now: float, admission: Admission) -> bool:
        """Take note of an answer to a send of `admission`; True when this one opened the breaker.

        The admission may be another breaker's, whose answer concerns this one too.
        """
        probed = self.give_back(admission)
        verdict = result.classification
        if not verdict.attempted:
            return False
        if verdict.outcome is Outcome.THROTTLED and verdict.scope is ThrottleScope.PROJECT:
            until = now + (verdict.retry_after_seconds or verdict.min_backoff_seconds)
            self._paused_until = max(self._paused_until, until)
            return False
        if verdict.outcome is Outcome.MISCONFIGURED:
            return self._open(verdict.code, now)
        if verdict.outcome in _FAILURES:
            self._failures += 1
            probe_failed = probed and self._open_until is not None
            if probe_failed or self._failures >= self._threshold:
                return self._open(verdict.code, now)
            return False
        self._failures = 0
        self._open_until = None
        return False

    def give_back(self, admission: Admission) -> bool:
        """The admission's sends have ended, with or without an answer; whether it held the probe."""
        if admission is not self._probe:
            return False
        self._probe = None
        return True

    def _open(self, code: str, now: float) -> bool:
        was_closed = self._open_until is None
        self._open_until = now + self._cooldown
        self._open_code = code
        return was_closed

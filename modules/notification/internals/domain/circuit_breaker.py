"""The circuit breaker of one credential: fails fast while a provider is down or refuses us; pure state."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from modules.notification.types import Classification, Outcome, TargetResult, ThrottleScope

# How soon to ask again while a probe has no answer yet.
PROBE_SECONDS = 1.0
PAUSED_CODE = "PROVIDER_PAUSED"
PAUSED_REASON = "the provider asked everyone to slow down"
# Few messages show that a provider is down as well, if they fail over some time.
SLOW_FAILURES = 3
_FAILURES = frozenset({Outcome.TRANSIENT, Outcome.UNKNOWN})


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing may be sent now, and for how many seconds.

    `unreached`: the provider gives no good answer; otherwise it gave one, and it says to wait.
    """

    code: str
    reason: str
    retry_after_seconds: float
    unreached: bool


@dataclass(frozen=True, slots=True, eq=False)
class Admission:
    """Leave for one message. It ends in `record`, or in `give_back`."""


# What goes out while nothing is known against the provider needs none of its own.
_FREE = Admission()


class CircuitBreaker:
    """Counts consecutive failures; all times are seconds of one steady clock given by the caller.

    Opens after `failure_threshold` failures in a row, after SLOW_FAILURES in a row that span
    `failure_seconds`, or at once when the provider refuses the credential. After `cooldown_seconds` one probe
    is let through, and its answer alone closes or opens it again: messages that were under way when it opened
    say nothing new. A provider's project-wide 'slow down' pauses everything for as long as it says. What was
    not attempted, or not read, says nothing of the provider's health.
    """

    def __init__(self, *, failure_threshold: int, failure_seconds: float, cooldown_seconds: float) -> None:
        self._threshold = failure_threshold
        self._failure_seconds = failure_seconds
        self._cooldown = cooldown_seconds
        self._failures = 0
        self._failing_since = 0.0
        self._open_until: float | None = None
        self._cause: Classification | None = None
        self._paused_until = 0.0
        self._probe: Admission | None = None

    def state(self, now: float) -> BreakerState:
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self._open_until else BreakerState.HALF_OPEN

    def is_closed(self, now: float) -> bool:
        """Whether everything would be admitted."""
        return self._open_until is None and now >= self._paused_until

    def admit(self, now: float) -> Admission | None:
        """Leave for one message, or None; of a half-open breaker for one alone, its probe."""
        if self.is_closed(now):
            return _FREE
        paused = now < self._paused_until
        if paused or self._probe is not None or self.state(now) is not BreakerState.HALF_OPEN:
            return None
        self._probe = Admission()
        return self._probe

    def closed_seconds(self, now: float) -> float:
        """How long nothing will be admitted; 0 when something is."""
        waiting = PROBE_SECONDS if self._probe is not None else 0.0
        return max(waiting, self._paused_until - now, (self._open_until or now) - now)

    def refusal(self, now: float) -> Refusal:
        """Why a message that was not admitted has to wait."""
        if now < self._paused_until:
            return Refusal(PAUSED_CODE, PAUSED_REASON, self._paused_until - now, unreached=False)
        wait = max(1.0, (self._open_until or now) - now)
        code = self._cause.code if self._cause else ""
        # Only an operator ends a refused credential; for that the rows wait, however long.
        unreached = self._cause is not None and self._cause.outcome is not Outcome.MISCONFIGURED
        reason = f"not tried: the provider failed before ({code})"
        return Refusal("CIRCUIT_OPEN", reason, wait, unreached=unreached)

    def record(self, result: TargetResult, now: float, admission: Admission) -> bool:
        """Take note of the answer to a message of `admission`; True when this one opened the breaker.

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
            return self._open(verdict, now)
        if verdict.outcome in _FAILURES:
            return self._failed(verdict, now, probed=probed)
        if not verdict.unreached and (probed or self._open_until is None):
            self._failures = 0
            self._open_until = None
        return False

    def _failed(self, verdict: Classification, now: float, *, probed: bool) -> bool:
        if self._failures == 0:
            self._failing_since = now
        self._failures += 1
        lasting = now - self._failing_since >= self._failure_seconds
        many = self._failures >= (SLOW_FAILURES if lasting else self._threshold)
        if many or (probed and self._open_until is not None):
            return self._open(verdict, now)
        return False

    def give_back(self, admission: Admission) -> bool:
        """The admitted message has ended, with or without an answer; whether it was the probe."""
        if admission is not self._probe:
            return False
        self._probe = None
        return True

    def _open(self, verdict: Classification, now: float) -> bool:
        was_closed = self._open_until is None
        if not was_closed and self._cause is not None and self._cause.outcome is Outcome.MISCONFIGURED:
            # What was under way when the credential was refused does not change why it is closed.
            verdict = verdict if verdict.outcome is Outcome.MISCONFIGURED else self._cause
        self._open_until = now + self._cooldown
        self._cause = verdict
        return was_closed

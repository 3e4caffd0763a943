"""Counts attempts as they are made: for Prometheus, and for whoever judges how a batch goes."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

from modules.notification.internals.metrics import ATTEMPT_SECONDS, ATTEMPTS
from modules.notification.types import LATENCY_BUCKETS_MS, Outcome, SendPushResult

# A dead target says something about the target, not about the message or the provider.
_NO_ERROR = frozenset({Outcome.ACCEPTED, Outcome.TARGET_DEAD})


class AttemptTally:
    """Sends, those that failed, and how long the provider's answers took.

    What has to wait (a quota, a pause, an open breaker) is no send; what was refused before it left is a
    failed one.
    `latencies` are counts by LATENCY_BUCKETS_MS, one more for what took longer.
    """

    def __init__(self) -> None:
        self.attempts = 0
        self.errors = 0
        self.latencies = [0] * (len(LATENCY_BUCKETS_MS) + 1)

    def count(self, results: list[SendPushResult]) -> None:
        """Take note of what became of some sends."""
        seen: Counter[tuple[Outcome, str]] = Counter()
        for result in (each for sent in results for each in sent.results):
            verdict = result.classification
            seen[verdict.outcome, verdict.code] += 1
            if verdict.outcome is not Outcome.THROTTLED:
                self.attempts += 1
                self.errors += verdict.outcome not in _NO_ERROR
            if verdict.attempted:
                self.latencies[bisect_left(LATENCY_BUCKETS_MS, result.latency_ms)] += 1
                ATTEMPT_SECONDS.observe(result.latency_ms / 1000)
        for (outcome, code), count in seen.items():
            ATTEMPTS.labels(outcome=outcome.value, code=code).inc(count)

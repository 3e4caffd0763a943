"""When to try again: exponential backoff with full jitter, a floor and a cap; the provider's word wins."""

from __future__ import annotations

import math
from dataclasses import dataclass

DEFAULT_FLOOR_SECONDS = 1.0
RETRY_AFTER_SPREAD = 0.1


@dataclass(frozen=True, slots=True)
class Backoff:
    """`cap_seconds` bounds our own waiting; a provider's Retry-After may be longer."""

    cap_seconds: float

    def attempts_within(self, seconds: float) -> int:
        """Which attempt it is for a wait that began so long ago, where attempts are not counted."""
        return 1 + int(math.log2(1 + seconds / DEFAULT_FLOOR_SECONDS))

    def delay_seconds(
        self, *, attempt: int, floor_seconds: float, retry_after_seconds: float | None, draw: float
    ) -> float:
        """Seconds to wait after the `attempt`-th failed attempt (1 = the first); `draw` is random in [0, 1].

        With Retry-After: at least what it says, at most a tenth more, so that waiters do not return at once.
        Otherwise between the floor and min(cap, floor * 2^attempt).
        """
        if retry_after_seconds is not None:
            return retry_after_seconds * (1 + RETRY_AFTER_SPREAD * draw)
        floor = min(floor_seconds or DEFAULT_FLOOR_SECONDS, self.cap_seconds)
        ceiling = min(self.cap_seconds, floor * 2.0 ** min(attempt, 30))
        return floor + (ceiling - floor) * draw

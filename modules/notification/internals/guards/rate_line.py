"""One flow of one credential in this process: the permits it holds, and who waits for more."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

from modules.notification.internals.domain.rate_quota import Grant

LEFTOVER_SECONDS = 2.0
# The shortest time a flow's pace is told from.
PACE_SECONDS = 0.001
PACE_AHEAD_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Waiter:
    wanted: int
    permits: asyncio.Future[int]


class RateLine:
    """Times are seconds of one steady clock given by the caller."""

    def __init__(self, now: float) -> None:
        self.permits = 0
        self.expires_at = now
        self.ask_again_at = now
        self.waiters: list[Waiter] = []
        self.timer: asyncio.TimerHandle | None = None
        self._used = 0
        self._used_since = now

    def take(self, wanted: int) -> int:
        taken = wanted if wanted < self.permits else self.permits
        self.permits -= taken
        self._used += taken
        return taken

    def give_up(self) -> int:
        left, self.permits = self.permits, 0
        return left

    def put(self, permits: int, now: float) -> None:
        self.permits += permits
        self.expires_at = now + LEFTOVER_SECONDS

    def refill(self, grant: Grant, now: float) -> None:
        self.ask_again_at = now + grant.wait_seconds
        self._used, self._used_since = 0, now
        self.put(grant.granted, now)

    def is_waiting(self) -> bool:
        return any(not waiter.permits.done() for waiter in self.waiters)

    def worth_asking_for(self, most: int, now: float) -> int:
        """What the waiters want, or what will be wanted within PACE_AHEAD_SECONDS at the present pace."""
        wanted = sum(waiter.wanted for waiter in self.waiters if not waiter.permits.done())
        pace = self._used / max(PACE_SECONDS, now - self._used_since)
        return min(most, max(wanted, int(pace * PACE_AHEAD_SECONDS)))

    def share_out(self) -> None:
        """Give each waiter an even part, the first come first when there is not one for each."""
        waiting = [waiter for waiter in self.waiters if not waiter.permits.done()]
        for served, waiter in enumerate(waiting):
            if not self.permits:
                break
            part = math.ceil(self.permits / (len(waiting) - served))
            waiter.permits.set_result(self.take(min(waiter.wanted, part)))
        self.waiters = [waiter for waiter in waiting if not waiter.permits.done()]

    def fail(self, error: Exception) -> None:
        for waiter in self.waiters:
            if not waiter.permits.done():
                waiter.permits.set_exception(error)
        self.waiters = []

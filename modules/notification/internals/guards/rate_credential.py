"""One credential's rate in this process: its flows and tallies, exchanged with MongoDB by a single task."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from modules.application.errors import ServiceError
from modules.application.mongo_database import DatabaseClock
from modules.notification.errors import RateGovernorClosedError
from modules.notification.internals.domain.rate_quota import Grant, RateQuota, RateState
from modules.notification.internals.guards.rate_line import RateLine, Waiter
from modules.notification.internals.store.rate_quota_repository import RateQuotaRepository, StoredRate

FLUSH_SECONDS = 0.25
RETRY_SECONDS = 1.0
CONFLICT_SPREAD_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class _Pause:
    """Ends at `until` of the steady clock."""

    until: float
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exchange:
    """What one write to MongoDB says: our tallies in, permits out."""

    state: RateState
    spent: int
    pause: _Pause | None
    granted: Mapping[str, Grant]


class CredentialRate:
    """One app's lines and tallies; a single task exchanges them with MongoDB, so that no two writes race."""

    def __init__(
        self,
        app_id: str,
        *,
        repository: RateQuotaRepository,
        clock: DatabaseClock,
        quota: RateQuota,
        monotonic: Callable[[], float],
    ) -> None:
        self._app_id = app_id
        self._repository = repository
        self._clock = clock
        self._quota = quota
        self._monotonic = monotonic
        self._lines: dict[str, RateLine] = {}
        self._stored: StoredRate | None = None
        self._spent = 0
        self._returned = 0
        self._pause: _Pause | None = None
        self._paused_until = -math.inf
        self._flush_at = -math.inf
        self._retry_at = -math.inf
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    def take(self, flow: str, wanted: int) -> int:
        """Permits from what this process holds; 0 when it has none for `flow` now."""
        line = self._lines.get(flow)
        if line is None or not line.permits or line.waiters:
            return 0
        now = self._monotonic()
        if now >= line.expires_at or now < self._paused_until:
            return 0
        return line.take(wanted)

    async def wait(self, flow: str, wanted: int) -> int:
        if wanted < 1:
            raise ValueError("wanted must be at least 1")
        if self._closing:
            raise RateGovernorClosedError
        line = self._line(flow)
        waiter = Waiter(wanted, asyncio.get_running_loop().create_future())
        line.waiters.append(waiter)
        self._work()
        try:
            return await waiter.permits
        except asyncio.CancelledError:
            self._abandon(flow, waiter)
            raise

    def _abandon(self, flow: str, waiter: Waiter) -> None:
        """Pass on what a cancelled caller was given but never saw."""
        done = waiter.permits
        if done.done() and not done.cancelled() and done.exception() is None:
            self.give_back(flow, done.result())

    def give_back(self, flow: str, count: int) -> None:
        """Return permits that were not used, for whoever of the flow asks within LEFTOVER_SECONDS."""
        if self._closing:
            return
        self._line(flow).put(count, self._monotonic())
        self._watch_leftovers(flow)
        self._work()

    def spend(self, count: int) -> None:
        self._spent += count
        if not self._closing and (self._spent == count or self._has_ended()):
            self._work()

    def pause(self, seconds: float, code: str) -> None:
        until = self._monotonic() + seconds
        if until <= self._paused_until:
            return
        self._paused_until = until
        self._pause = _Pause(until, code)
        self._work()

    def learn_pause(self, seconds: float) -> None:
        """Keep to a pause that is stored already."""
        self._paused_until = max(self._paused_until, self._monotonic() + seconds)

    def paused_seconds(self) -> float:
        return max(0.0, self._paused_until - self._monotonic())

    async def close(self) -> None:
        self._closing = True
        for line in self._lines.values():
            line.fail(RateGovernorClosedError())
            self._returned += line.give_up()
            if line.timer is not None:
                line.timer.cancel()
        self._lines.clear()
        self._work()
        assert self._task is not None
        await self._task

    def _line(self, flow: str) -> RateLine:
        if flow not in self._lines:
            self._lines[flow] = RateLine(self._monotonic())
        return self._lines[flow]

    def _work(self) -> None:
        self._wake.set()
        if self._has_ended():
            self._task = asyncio.create_task(self._run(), name="rate-governor")

    def _has_ended(self) -> bool:
        return self._task is None or self._task.done()

    async def _run(self) -> None:
        try:
            while True:
                self._wake.clear()
                self._serve_from_leftovers()
                due_at = self._due_at()
                if due_at == math.inf:
                    self._forget_idle_lines()
                    return
                delay = due_at - self._monotonic()
                if delay > 0:
                    await self._wait_for_work(delay)
                else:
                    await self._try_exchange()
        except Exception as error:
            # Whoever waits must hear of a defect here: nobody else serves them.
            self._fail(error)
            raise

    async def _wait_for_work(self, seconds: float) -> None:
        timer = asyncio.get_running_loop().call_later(seconds, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    def _due_at(self) -> float:
        """When MongoDB has to be asked next, on the steady clock; infinity when there is nothing to do."""
        waiting = (line.ask_again_at for line in self._lines.values() if line.is_waiting())
        due_at = max(min(waiting, default=math.inf), self._paused_until)
        if self._pause is not None:
            due_at = min(due_at, self._retry_at)
        if self._spent or self._returned:
            tallies_at = self._retry_at if self._closing else max(self._flush_at, self._retry_at)
            due_at = min(due_at, tallies_at)
        return due_at

    def _serve_from_leftovers(self) -> None:
        now = self._monotonic()
        for line in self._lines.values():
            if now >= line.expires_at or self._closing:
                self._returned += line.give_up()
            if now >= self._paused_until:
                line.share_out()

    def _forget_idle_lines(self) -> None:
        self._lines = {flow: line for flow, line in self._lines.items() if line.timer is not None}

    async def _try_exchange(self) -> None:
        # A write whose answer is lost may have landed: what was to be returned is not returned twice.
        returned, self._returned = self._returned, 0
        try:
            await self._exchange(returned)
        except ServiceError as error:
            self._retry_at = self._monotonic() + RETRY_SECONDS
            self._stored = None
            self._fail(error)
            if self._closing:
                self._spent, self._pause = 0, None

    async def _exchange(self, returned: int) -> None:
        """Agree with MongoDB on the next state: one round trip while nobody else has written."""
        conflicts = 0
        while True:
            now = _as_stored(await self._clock.now())
            if self._stored is None:
                fresh = StoredRate(0, self._quota.fresh(now))
                self._stored = await self._repository.read(self._app_id) or fresh
            before = self._stored
            plan = self._plan(before.state, now, returned)
            if plan.state == before.state:
                break
            if await self._repository.replace_if(self._app_id, plan.state, version=before.version):
                self._stored = StoredRate(before.version + 1, plan.state)
                break
            self._stored = None
            conflicts += 1
            await asyncio.sleep(random.random() * CONFLICT_SPREAD_SECONDS * conflicts)  # noqa: S311
        self._settle(plan, now)

    def _plan(self, state: RateState, now: datetime, returned: int) -> _Exchange:
        clock = self._monotonic()
        if self._pause is not None and self._pause.until > clock:
            until = _as_stored(now + timedelta(seconds=self._pause.until - clock))
            state = self._quota.pause(state, until, self._pause.code)
        if returned:
            state = self._quota.give_back(state, returned)
        if self._spent:
            state = self._quota.spend(state, self._spent, now)
        granted: dict[str, Grant] = {}
        for flow, line in self._lines.items():
            if line.is_waiting() and line.ask_again_at <= clock:
                wanted = line.worth_asking_for(self._quota.chunk, clock)
                granted[flow] = self._quota.grant(state, flow, wanted, now)
                state = granted[flow].state
        return _Exchange(state=state, spent=self._spent, pause=self._pause, granted=granted)

    def _settle(self, exchange: _Exchange, now: datetime) -> None:
        clock = self._monotonic()
        self._spent -= exchange.spent
        if self._pause is exchange.pause:
            self._pause = None
        self._flush_at = clock + FLUSH_SECONDS
        left = (exchange.state.paused_until - now).total_seconds()
        own = self._pause.until if self._pause is not None else -math.inf
        self._paused_until = max(clock + left, own)
        for flow, grant in exchange.granted.items():
            self._line(flow).refill(grant, clock)
            self._watch_leftovers(flow)

    def _watch_leftovers(self, flow: str) -> None:
        line = self._lines[flow]
        if line.timer is None:
            seconds = max(0.0, line.expires_at - self._monotonic())
            line.timer = asyncio.get_running_loop().call_later(seconds, self._expire, flow)

    def _expire(self, flow: str) -> None:
        line = self._lines[flow]
        line.timer = None
        if self._monotonic() < line.expires_at:
            self._watch_leftovers(flow)
        else:
            self._work()

    def _fail(self, error: Exception) -> None:
        for line in self._lines.values():
            line.fail(error)


def _as_stored(time: datetime) -> datetime:
    # BSON dates hold milliseconds (bsonspec.org, "UTC datetime"); a finer time would accrue tokens twice.
    return time.replace(microsecond=time.microsecond // 1000 * 1000)

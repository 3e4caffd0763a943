"""The rate of one provider credential as pure state: who may send how much now, and when to ask again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

# Tokens held back for a moment, and so the most that can go out at once: one second's worth.
BURST_SECONDS = 1.0
# What is worth a round trip to MongoDB.
CHUNK_SECONDS = 0.25
QUOTA_WINDOW = timedelta(seconds=60)
IDLE = timedelta(seconds=60)
# A flow that has not asked for so long wants nothing.
ASKING = timedelta(seconds=2)
# Shorter than ASKING, so that a flow that waits for its share keeps it.
LONGEST_WAIT_SECONDS = 1.0
SHORTEST_WAIT_SECONDS = 0.001
RAMP_START_SHARE = 0.01
SLOWEST_START_PER_SECOND = 1.0
# How far traffic may run ahead of the start rate and still be a trickle that needs no ramp.
TRICKLE = timedelta(seconds=0.5)
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """What a provider permits one credential.

    `quota_per_minute` at least 1; `ramp_seconds` from almost nothing to the full rate, 0 for no ramp;
    `reserved_share` of the quota, at least 0 and below 1, is for immediate messages alone. The defaults are
    FCM's (600,000 a minute a project, a ramp of at least 60 s).
    """

    quota_per_minute: int = 600_000
    ramp_seconds: float = 60.0
    reserved_share: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowShare:
    """When a flow last asked, and the tokens set aside for it."""

    asked_at: datetime
    tokens: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RateState:
    """One credential at `refilled_at`; times are aware and of the database's clock, tokens are messages.

    `free` belongs to no flow; below 0 it is what immediate messages took ahead of time. `reserve` is for
    immediate messages. `busy_at` is when traffic last exceeded the start rate, `trickle_until` how far it
    runs ahead of that rate. A pause is over when `paused_until` has passed.
    """

    refilled_at: datetime
    free: float
    reserve: float
    flows: Mapping[str, FlowShare] = field(default_factory=dict)
    ramp_started_at: datetime
    busy_at: datetime
    trickle_until: datetime
    paused_until: datetime
    pause_code: str = ""

    def tokens(self) -> float:
        """All that may be granted; below 0 in debt."""
        return self.free + sum(share.tokens for share in self.flows.values())


@dataclass(frozen=True, slots=True)
class Grant:
    """`granted` of what was wanted; if less, asking again is worthwhile after `wait_seconds`."""

    state: RateState
    granted: int
    wait_seconds: float


class RateQuota:
    """A token bucket that is split between the flows that ask; every method returns the next state.

    A time before the state's own counts as the state's own.
    """

    def __init__(self, limits: RateLimits) -> None:
        self._debt_limit = float(limits.quota_per_minute)
        self._ramp_seconds = limits.ramp_seconds
        self._reserved = limits.reserved_share
        self._open = 1.0 - limits.reserved_share
        self._full = limits.quota_per_minute / QUOTA_WINDOW.total_seconds()
        start = max(self._full * RAMP_START_SHARE, SLOWEST_START_PER_SECOND)
        self._start = min(self._full, start) if limits.ramp_seconds else self._full
        self.chunk = max(1, int(self._full * self._open * CHUNK_SECONDS))

    def fresh(self, now: datetime) -> RateState:
        """A credential nobody has used: a second's worth of the start rate, and the ramp ahead."""
        return RateState(
            refilled_at=now,
            free=self._burst(self._start, flows=0),
            reserve=self._start * self._reserved * BURST_SECONDS,
            ramp_started_at=now,
            busy_at=now - IDLE,
            trickle_until=now,
            paused_until=now,
        )

    def grant(self, state: RateState, flow: str, wanted: int, now: datetime) -> Grant:
        """Up to `wanted` tokens for `flow`: its even part and what other flows leave; none in a pause."""
        if now < state.paused_until:
            return Grant(state, 0, (state.paused_until - now).total_seconds())
        state = self._refilled(state, now, asking=flow)
        mine = state.flows[flow]
        available = min(mine.tokens + max(0.0, state.free), state.tokens())
        granted = min(wanted, max(0, math.floor(available + _ROUNDING)))
        own = min(mine.tokens, float(granted))
        state = replace(
            state,
            free=state.free - (granted - own),
            flows={**state.flows, flow: replace(mine, tokens=mine.tokens - own)},
        )
        state = self._with_traffic(state, granted)
        wait_seconds = self._wait_seconds(state, flow, wanted) if granted < wanted else 0.0
        return Grant(state, granted, wait_seconds)

    def spend(self, state: RateState, count: int, now: datetime) -> RateState:
        """Subtract `count` immediate messages, sent already: from the reserve, then from all flows."""
        state = self._refilled(state, now)
        reserved = min(state.reserve, float(count))
        # What was sent a minute ago has left the provider's window: no debt is worth a longer wait.
        free = max(state.free - (count - reserved), -self._debt_limit)
        return self._with_traffic(replace(state, free=free, reserve=state.reserve - reserved), count)

    def give_back(self, state: RateState, count: int) -> RateState:
        """Return granted tokens that were not used; what exceeds the burst is lost with the next refill."""
        return replace(state, free=state.free + count)

    def pause(self, state: RateState, until: datetime, code: str) -> RateState:
        """Grant nothing before `until`; a pause that ends earlier than the present one changes nothing."""
        if until <= state.paused_until:
            return state
        return replace(state, paused_until=until, pause_code=code)

    def _refilled(self, state: RateState, now: datetime, asking: str | None = None) -> RateState:
        now = max(now, state.refilled_at)
        rate = self._rate(state, now)
        accrued = self._accrued(state, now)
        asked_at = {flow: share.asked_at for flow, share in state.flows.items()}
        if asking is not None:
            asked_at[asking] = now
        asked_at = {flow: at for flow, at in asked_at.items() if now - at <= ASKING}
        burst = self._burst(rate, flows=len(asked_at))
        even_part = burst / max(1, len(asked_at))
        held = {
            flow: min(even_part, state.flows[flow].tokens) if flow in state.flows else 0.0
            for flow in asked_at
        }
        free = min(burst, state.tokens() + accrued * self._open) - sum(held.values())
        held, free = _poured(free, held, even_part)
        return replace(
            state,
            refilled_at=now,
            free=free,
            reserve=min(rate * self._reserved * BURST_SECONDS, state.reserve + accrued * self._reserved),
            flows={flow: FlowShare(asked_at=at, tokens=held[flow]) for flow, at in asked_at.items()},
        )

    def _burst(self, rate: float, *, flows: int) -> float:
        # Each flow must be able to hold a whole message, however small the quota.
        return max(rate * self._open * BURST_SECONDS, float(flows), 1.0)

    def _is_idle(self, state: RateState, at: datetime) -> bool:
        return at - state.busy_at >= IDLE

    def _rate(self, state: RateState, at: datetime) -> float:
        """Messages a second permitted at `at`, immediate ones included."""
        if self._is_idle(state, at):
            return self._start
        return self._ramped((at - state.ramp_started_at).total_seconds())

    def _ramped(self, seconds: float) -> float:
        if seconds >= self._ramp_seconds:
            return self._full
        return self._start + (self._full - self._start) * seconds / self._ramp_seconds

    def _accrued(self, state: RateState, now: datetime) -> float:
        """The permitted rate summed up from the last refill to `now`."""
        if self._is_idle(state, now):
            return self._start * (now - state.refilled_at).total_seconds()
        since = (state.refilled_at - state.ramp_started_at).total_seconds()
        until = (now - state.ramp_started_at).total_seconds()
        ramp_end = min(max(since, self._ramp_seconds), until)
        rising = (ramp_end - since) * (self._ramped(since) + self._ramped(ramp_end)) / 2
        return rising + (until - ramp_end) * self._full

    def _with_traffic(self, state: RateState, count: int) -> RateState:
        """Note `count` messages: more than a trickle starts the ramp, or keeps it where it is."""
        now = state.refilled_at
        until = max(state.trickle_until, now) + timedelta(seconds=count / self._start)
        if until - now <= TRICKLE:
            return replace(state, trickle_until=until)
        ramp_started_at = now if self._is_idle(state, now) else state.ramp_started_at
        return replace(state, trickle_until=now + TRICKLE, busy_at=now, ramp_started_at=ramp_started_at)

    def _wait_seconds(self, state: RateState, flow: str, wanted: int) -> float:
        """When there is as much again, or what is worth a round trip."""
        rate = self._rate(state, state.refilled_at) * self._open
        own_rate = rate / len(state.flows)
        worthwhile = max(1.0, min(float(wanted), own_rate * CHUNK_SECONDS))
        debt = max(0.0, -state.free)
        seconds = debt / rate + (worthwhile - state.flows[flow].tokens) / own_rate
        return min(LONGEST_WAIT_SECONDS, max(SHORTEST_WAIT_SECONDS, seconds))


def _poured(free: float, held: Mapping[str, float], even_part: float) -> tuple[dict[str, float], float]:
    """Spread `free` evenly; what a flow has no room for goes to the others, the rest stays free."""
    filled = dict(held)
    fullest_first = sorted(held, key=lambda flow: held[flow], reverse=True)
    for done, flow in enumerate(fullest_first):
        part = max(0.0, min(free / (len(held) - done), even_part - held[flow]))
        filled[flow] += part
        free -= part
    return filled, free

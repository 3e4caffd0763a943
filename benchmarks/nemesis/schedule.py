"""Which faults happen to whom and when, drawn from the seed; pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

Card = TypeVar("Card")
WORKERS = ("worker-0", "worker-1")
CALLERS = ("caller-0", "caller-1")
MONGODB, TEMPORAL, PROVIDER = "mongodb", "temporal", "provider"
# Faults begin when the load is under way.
QUIET_SECONDS = 5.0
SKEWS_SECONDS = (0.0, 0.0, 300.0, -300.0)


class FaultKind(StrEnum):
    """What is done to a target. STOP is SIGSTOP, followed by SIGCONT."""

    KILL = "kill"
    STOP = "stop"
    TERMINATE = "terminate"
    STEP_DOWN = "step_down"
    STEP_DOWN_BY_FORCE = "step_down_by_force"
    STOP_PRIMARY = "stop_primary"
    STOP_SECONDARY = "stop_secondary"
    STOP_SECONDARIES = "stop_secondaries"
    KILL_PRIMARY = "kill_primary"
    RESTART = "restart"
    ANSWER = "answer"
    GOAWAY_EVERY = "goaway_every"
    REVOKE_TOKENS = "revoke_tokens"
    TOKENS = "tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`at` and `seconds` (how long it lasts) count from the start of the faults.

    `options` are the words of the provider's rule or setting, or how the process that follows a killed one
    is: `skew_seconds` off, an `earlier` commit's.
    """

    at: float
    target: str
    kind: FaultKind
    seconds: float = 0.0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Rhythm:
    """How long between the end of a fault and the next one of the same target."""

    least_seconds: float
    most_seconds: float
    kinds: Sequence[FaultKind]


_RHYTHMS = {
    **dict.fromkeys(WORKERS, _Rhythm(6, 20, (FaultKind.KILL, FaultKind.STOP, FaultKind.TERMINATE))),
    **dict.fromkeys(CALLERS, _Rhythm(8, 25, (FaultKind.KILL, FaultKind.STOP))),
    MONGODB: _Rhythm(
        10,
        25,
        (
            FaultKind.STEP_DOWN,
            FaultKind.STOP_PRIMARY,
            FaultKind.STEP_DOWN_BY_FORCE,
            FaultKind.STOP_SECONDARY,
            FaultKind.STOP_SECONDARIES,
            FaultKind.KILL_PRIMARY,
        ),
    ),
    TEMPORAL: _Rhythm(20, 45, (FaultKind.RESTART, FaultKind.STOP)),
}
# Longer than the lease of two seconds, and than what a replica set waits before it elects another primary.
_LASTS = {
    FaultKind.STOP: (2.5, 6.0),
    FaultKind.STOP_PRIMARY: (3.0, 8.0),
    FaultKind.STOP_SECONDARY: (3.0, 8.0),
    FaultKind.STOP_SECONDARIES: (2.0, 6.0),
    FaultKind.STEP_DOWN: (5.0, 10.0),
    FaultKind.STEP_DOWN_BY_FORCE: (5.0, 10.0),
}
# Every kind of answer, effect and state of the provider, and how many messages it befalls at most.
PROVIDER_FAULTS: tuple[tuple[FaultKind, dict[str, Any], int], ...] = (
    (FaultKind.ANSWER, {"http_status": 429, "retry_after_seconds": 2}, 2),
    (FaultKind.ANSWER, {"http_status": 429}, 3),
    (FaultKind.ANSWER, {"error_code": "QUOTA_EXCEEDED", "retry_after_seconds": 1}, 3),
    (FaultKind.ANSWER, {"error_code": "QUOTA_EXCEEDED", "quota": "device"}, 3),
    (FaultKind.ANSWER, {"http_status": 429, "page_kib": 512, "retry_after_seconds": 1}, 3),
    (FaultKind.ANSWER, {"http_status": 500}, 60),
    (FaultKind.ANSWER, {"http_status": 503}, 60),
    (FaultKind.ANSWER, {"error_code": "UNAVAILABLE", "retry_after_seconds": 1}, 10),
    (FaultKind.ANSWER, {"error_code": "INTERNAL"}, 30),
    (FaultKind.ANSWER, {"http_status": 502, "page_kib": 512}, 10),
    (FaultKind.ANSWER, {"effect": "hang"}, 5),
    (FaultKind.ANSWER, {"effect": "drip"}, 4),
    (FaultKind.ANSWER, {"effect": "lost_response"}, 10),
    (FaultKind.ANSWER, {"effect": "lost_connection"}, 3),
    (FaultKind.ANSWER, {"effect": "goaway"}, 3),
    (FaultKind.ANSWER, {"effect": "goaway_unprocessed"}, 3),
    (FaultKind.ANSWER, {"effect": "reset"}, 15),
    (FaultKind.ANSWER, {"http_status": 401}, 3),
    (FaultKind.ANSWER, {"http_status": 403}, 2),
    (FaultKind.ANSWER, {"error_code": "UNREGISTERED"}, 3),
    (FaultKind.ANSWER, {"error_code": "INVALID_ARGUMENT"}, 3),
    (FaultKind.ANSWER, {"error_code": "SENDER_ID_MISMATCH"}, 1),
    (FaultKind.ANSWER, {"error_code": "THIRD_PARTY_AUTH_ERROR"}, 1),
    (FaultKind.ANSWER, {"delay_ms": 2_500}, 15),
    (FaultKind.GOAWAY_EVERY, {"requests": 5}, 0),
    (FaultKind.REVOKE_TOKENS, {}, 0),
    (FaultKind.TOKENS, {"mode": "unavailable"}, 0),
    (FaultKind.TOKENS, {"mode": "invalid_grant"}, 0),
    (FaultKind.TOKENS, {"mode": "ok", "delay_ms": 1_500, "expires_in_seconds": 2}, 0),
)
_PROVIDER_LASTS = (1.0, 5.0)
_PROVIDER_RESTS = (0.5, 3.0)


def make_schedule(seed: int, *, seconds: float, beside: bool = False) -> tuple[Fault, ...]:
    """All faults of a run in their order; each target has a stream of its own, and every kind its turn."""
    faults = [fault for target in _RHYTHMS for fault in _of_target(seed, target, seconds, beside)]
    faults += _of_provider(seed, seconds)
    return tuple(sorted(faults, key=lambda fault: (fault.at, fault.target)))


def _of_target(seed: int, target: str, seconds: float, beside: bool) -> Iterator[Fault]:
    chance, rhythm = random.Random(f"{seed}/{target}"), _RHYTHMS[target]
    at = QUIET_SECONDS + chance.uniform(0, rhythm.most_seconds)
    for kind in _in_turns(chance, rhythm.kinds):
        lasts = chance.uniform(*_LASTS.get(kind, (0.0, 0.0)))
        if at + lasts > seconds:
            return
        options: dict[str, Any] = {}
        if target in WORKERS:
            options["skew_seconds"] = chance.choice(SKEWS_SECONDS)
            # One worker is always a present one: what an earlier one cannot read waits for it.
            options["earlier"] = beside and target == WORKERS[-1] and chance.random() < 0.5
        if kind is FaultKind.RESTART:
            options["kill"] = chance.random() < 0.5
        yield Fault(at=at, target=target, kind=kind, seconds=lasts, options=options)
        at += lasts + chance.uniform(rhythm.least_seconds, rhythm.most_seconds)


def _of_provider(seed: int, seconds: float) -> Iterator[Fault]:
    chance = random.Random(f"{seed}/{PROVIDER}")
    at = QUIET_SECONDS
    for kind, options, most in _in_turns(chance, PROVIDER_FAULTS):
        lasts = chance.uniform(*_PROVIDER_LASTS)
        if at + lasts > seconds:
            return
        times = {"times": chance.randint(1, most)} if most else {}
        yield Fault(at=at, target=PROVIDER, kind=kind, seconds=lasts, options={**options, **times})
        at += lasts + chance.uniform(*_PROVIDER_RESTS)


def _in_turns(chance: random.Random, cards: Sequence[Card]) -> Iterator[Card]:
    """Without end, each card once in each turn, in an order of chance."""
    while True:
        yield from chance.sample(cards, len(cards))

"""What callers do, drawn from the seed: sends, campaigns with commands, devices that move; pure."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.nemesis.records import What

ACCOUNTS = 240
# Every so many-th account has a second device.
SECOND_DEVICE_EVERY = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class SendAction:
    """One message for one account, called for `repeats` times more under the same key where it has one.

    `cancel_after_seconds`: take it back so long after it was accepted. `rest_seconds` follow every action.
    """

    account: int
    immediate: bool
    keyed: bool
    repeats: int
    together: bool
    expires_in_seconds: float | None
    at_most_once: bool
    cancel_after_seconds: float | None
    rest_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What is asked of a campaign, so long after the command before it."""

    what: What
    after_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignAction:
    """One campaign, asked for `repeats` times more under its key, and what is then asked of it."""

    accounts: tuple[int, ...]
    rate_per_second: float | None
    expires_in_seconds: float | None
    at_most_once: bool
    repeats: int
    commands: tuple[Command, ...]
    rest_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveAction:
    """A device is registered under an account, its own or another one, or its account logs out (None)."""

    device: int
    account: int | None
    rest_seconds: float


@dataclass(frozen=True, slots=True)
class Device:
    """A device and the account it belongs to at first."""

    number: int
    account: int


def devices() -> list[Device]:
    """Every device there is; its number says which caller moves it."""
    first = [Device(number, number) for number in range(ACCOUNTS)]
    second = [
        Device(ACCOUNTS + place, account)
        for place, account in enumerate(range(0, ACCOUNTS, SECOND_DEVICE_EVERY))
    ]
    return first + second


def sends(seed: str, *, immediate: bool) -> Iterator[SendAction]:
    """Without end. Nearly a third expire within seconds, half have a key, some are taken back."""
    chance = random.Random(seed)
    while True:
        keyed = chance.random() < 0.5
        yield SendAction(
            account=chance.randrange(ACCOUNTS),
            immediate=immediate,
            keyed=keyed,
            repeats=chance.choice((0, 1, 2)) if keyed else 0,
            together=chance.random() < 0.5,
            expires_in_seconds=_now_and_then(chance, 0.3, 0.5, 9.0),
            at_most_once=chance.random() < 0.3,
            cancel_after_seconds=None if immediate else _now_and_then(chance, 0.15, 0.0, 3.0),
            rest_seconds=chance.uniform(0.3, 1.7),
        )


def campaigns(seed: str) -> Iterator[CampaignAction]:
    """Without end. Most are paused and resumed or cancelled under way, some are left alone."""
    chance = random.Random(seed)
    while True:
        size = chance.randint(60, ACCOUNTS)
        yield CampaignAction(
            accounts=tuple(sorted(chance.sample(range(ACCOUNTS), size))),
            rate_per_second=_now_and_then(chance, 0.5, 8.0, 60.0),
            expires_in_seconds=_now_and_then(chance, 0.3, 2.0, 15.0),
            at_most_once=chance.random() < 0.3,
            repeats=chance.choice((0, 0, 1)),
            commands=tuple(_commands(chance)),
            rest_seconds=chance.uniform(5.0, 15.0),
        )


def moves(seed: str, owned: list[Device]) -> Iterator[MoveAction]:
    """Without end. What moved away comes back sooner or later, as what the provider has called dead."""
    chance = random.Random(seed)
    for turn in itertools.count():
        device = chance.choice(owned)
        other: int | None = chance.choice((chance.randrange(ACCOUNTS), None))
        account = device.account if turn % 2 else other
        yield MoveAction(device=device.number, account=account, rest_seconds=chance.uniform(0.1, 0.8))


def _commands(chance: random.Random) -> Iterator[Command]:
    """Pauses with their resumes, and at the end perhaps a cancel."""
    for _ in range(chance.choice((0, 0, 1, 2))):
        yield Command(what=What.PAUSE, after_seconds=chance.uniform(0.2, 4.0))
        yield Command(what=What.RESUME, after_seconds=chance.uniform(0.2, 4.0))
    if chance.random() < 0.4:
        yield Command(what=What.CANCEL, after_seconds=chance.uniform(0.0, 5.0))


def _now_and_then(chance: random.Random, share: float, least: float, most: float) -> float | None:
    """In `share` of the cases a number; the same draws are made in all."""
    number, drawn = chance.uniform(least, most), chance.random()
    return number if drawn < share else None

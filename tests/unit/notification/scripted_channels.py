"""Channels that answer by a script, and a gate before one of them on a clock of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from modules.config.types import DeliverySettings
from modules.notification.internals.channels.port import UNGUARDED, SendGuard
from modules.notification.internals.guards.provider_gate import ProviderGate
from modules.notification.types import (
    Classification,
    Outcome,
    Push,
    PushPayload,
    PushTarget,
    SendPushResult,
    TargetResult,
)
from tests.support.fcm_factories import make_payload

Verdict = Callable[[PushTarget], Classification]
THRESHOLD = 3
COOLDOWN = 30.0
SETTINGS = DeliverySettings(
    lease_seconds=30,
    max_lost_claims=5,
    patience_immediate_seconds=600,
    patience_normal_seconds=86_400,
    max_backoff_seconds=600,
    immediate_max_backoff_seconds=30,
    breaker_failure_threshold=THRESHOLD,
    breaker_failure_seconds=1_000,
    breaker_cooldown_seconds=COOLDOWN,
)


def verdict(outcome: Outcome = Outcome.ACCEPTED, **over: object) -> Classification:
    return Classification(**{"outcome": outcome, "code": outcome.name, "reason": "", **over})  # type: ignore[arg-type]


class ScriptedChannel:
    """A channel that answers by a function and remembers whom it was asked to send to."""

    app_ids = ("default", "one", "two", "broken", "sound")

    def __init__(self, answer: Verdict = lambda _: verdict()) -> None:
        self.answer = answer
        self.sent: list[str] = []
        self.closed = False
        self.checked: list[str] = []
        self.validated: list[str] = []
        self.warmed = False
        self.holding: asyncio.Event | None = None
        self.losing = False

    async def validate_push(self, targets: Sequence[PushTarget], payload: PushPayload) -> SendPushResult:
        self.validated += [target.address for target in targets]
        return SendPushResult(results=())

    async def send_each(self, pushes: Sequence[Push], *, guard: SendGuard) -> list[SendPushResult]:
        let_out: dict[int, Classification | None] = {}
        for push in pushes:
            for target in push.targets:
                let_out[id(target)] = refused = guard.refusal(push, target)
                if refused is None:
                    self.sent.append(target.device_id)
        if self.holding is not None and None in let_out.values():
            await self.holding.wait()
        if self.losing:
            return []
        return [
            SendPushResult(
                results=tuple(self._result(push, each, let_out[id(each)], guard) for each in push.targets)
            )
            for push in pushes
        ]

    def _result(
        self, push: Push, target: PushTarget, refused: Classification | None, guard: SendGuard
    ) -> TargetResult:
        verdict = refused or self.answer(target)
        result = TargetResult(device_id=target.device_id, classification=verdict)
        if refused is None:
            guard.answered(push, target, result)
        return result

    async def check_provider(self, app_id: str) -> None:
        self.checked.append(app_id)

    async def warm_up(self) -> None:
        self.warmed = True

    async def close(self) -> None:
        self.closed = True


class OneByOneChannel(ScriptedChannel):
    """Asks about a message once the one before it was answered."""

    async def send_each(self, pushes: Sequence[Push], *, guard: SendGuard) -> list[SendPushResult]:
        results = []
        for push in pushes:
            answers = []
            for target in push.targets:
                refused = guard.refusal(push, target)
                if refused is None:
                    self.sent.append(target.device_id)
                answers.append(self._result(push, target, refused, guard))
            results.append(SendPushResult(results=tuple(answers)))
        return results


class RepeatingChannel(ScriptedChannel):
    """Asks twice about each message, as one whose access token was refused is repeated with another one."""

    async def send_each(self, pushes: Sequence[Push], *, guard: SendGuard) -> list[SendPushResult]:
        results = []
        for push in pushes:
            answers = []
            for target in push.targets:
                refused = guard.refusal(push, target) or guard.refusal(push, target)
                if refused is None:
                    self.sent.append(target.device_id)
                answers.append(self._result(push, target, refused, guard))
            results.append(SendPushResult(results=tuple(answers)))
        return results


class RefusesRepeats:
    """A caller's guard to which every second question is too late."""

    def __init__(self) -> None:
        self._asked = 0

    def refusal(self, push: Push, target: PushTarget) -> Classification | None:
        self._asked += 1
        return verdict(Outcome.THROTTLED, attempted=False) if self._asked % 2 == 0 else None

    def answered(self, push: Push, target: PushTarget, result: TargetResult) -> None:
        raise AssertionError("nothing was let out for good")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def make_gate(answer: Verdict = lambda _: verdict()) -> tuple[ProviderGate, ScriptedChannel, Clock]:
    channel, clock = ScriptedChannel(answer), Clock()
    return ProviderGate(channel, SETTINGS, clock=clock), channel, clock


async def send(gate: ProviderGate, targets: Sequence[PushTarget]) -> SendPushResult:
    [result] = await gate.send_each([Push(targets=targets, payload=make_payload())], guard=UNGUARDED)
    return result


async def until_sent(channel: ScriptedChannel, count: int) -> None:
    while len(channel.sent) < count:
        await asyncio.sleep(0)

"""Wraps a channel from outside: each message asks the breaker of its credential, each answer tells it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from modules.application.steady_clock import steady_seconds
from modules.config.types import DeliverySettings
from modules.device_token.types import Platform
from modules.logger.logger_service import get_logger
from modules.notification.internals.channels.port import PushChannel, SendGuard
from modules.notification.internals.domain.circuit_breaker import Admission, CircuitBreaker, Refusal
from modules.notification.internals.domain.deferrals import deferral
from modules.notification.internals.metrics import BREAKER_OPENED
from modules.notification.types import (
    Classification,
    Push,
    PushPayload,
    PushTarget,
    SendPushResult,
    TargetResult,
    ThrottleScope,
)

# No app has it: an id has at least one character.
NO_APP_ID = ""
_Key = tuple[str, Platform | None]


class ProviderGate:
    """A PushChannel in front of a PushChannel, with one breaker per app and platform.

    Per platform as well, because a missing APNs or web push credential concerns that platform alone (FCM,
    THIRD_PARTY_AUTH_ERROR). Targets that are not admitted get a THROTTLED result with `attempted` False, so
    they cost no retry.
    """

    def __init__(
        self,
        channel: PushChannel,
        settings: DeliverySettings,
        *,
        clock: Callable[[], float] = steady_seconds,
    ) -> None:
        self._channel = channel
        self.app_ids = channel.app_ids
        self._settings = settings
        self._clock = clock
        self._breakers: dict[_Key, CircuitBreaker] = {}

    async def send_each(self, pushes: Sequence[Push], *, guard: SendGuard) -> list[SendPushResult]:
        """See PushChannel."""
        guarded = _BreakerGuard(self, guard)
        try:
            if self._is_open():
                return await self._channel.send_each(pushes, guard=guarded)
            return await self._send_shuffled(pushes, guarded)
        finally:
            guarded.give_back_rest()

    def _is_open(self) -> bool:
        """Whether every breaker lets everything out, the ordinary case."""
        now = self._clock()
        return all(breaker.is_closed(now) for breaker in self._breakers.values())

    async def _send_shuffled(self, pushes: Sequence[Push], guard: SendGuard) -> list[SendPushResult]:
        """A probe costs a retry: the same row, or device, must not pay for all of them."""
        places = [(number, place) for number, push in enumerate(pushes) for place in range(len(push.targets))]
        random.shuffle(places)
        single = [
            replace(pushes[number], targets=[pushes[number].targets[place]]) for number, place in places
        ]
        sent = await self._channel.send_each(single, guard=guard)
        results = {at: result for at, each in zip(places, sent, strict=True) for result in each.results}
        return [
            SendPushResult(results=tuple(results[number, place] for place in range(len(push.targets))))
            for number, push in enumerate(pushes)
        ]

    async def validate_push(self, targets: Sequence[PushTarget], payload: PushPayload) -> SendPushResult:
        """Asked past the breakers: a check is no traffic."""
        return await self._channel.validate_push(targets, payload)

    def admit(self, target: PushTarget) -> tuple[CircuitBreaker, Admission] | Refusal:
        """Leave for one message to the target, by its breaker, or why there is none."""
        breaker, now = self._breaker(self._key(target)), self._clock()
        admission = breaker.admit(now)
        return breaker.refusal(now) if admission is None else (breaker, admission)

    def record(
        self, target: PushTarget, result: TargetResult, breaker: CircuitBreaker, admission: Admission
    ) -> None:
        """Take note of the answer to a message that the breaker admitted."""
        breakers = [breaker]
        if result.classification.scope is ThrottleScope.PROJECT:
            # A project's quota is every platform's: all of the app wait.
            app_id, _ = self._key(target)
            breakers = [self._breaker((app_id, each)) for each in (*Platform, None)]
        for each in breakers:
            if each.record(result, self._clock(), admission):
                _tell_of_opening(self._key(target), result.classification)

    def _key(self, target: PushTarget) -> _Key:
        # Anybody can name an app: those without credentials are never sent to, and share what never opens.
        return target.app_id if target.app_id in self.app_ids else NO_APP_ID, target.platform

    def _breaker(self, key: _Key) -> CircuitBreaker:
        breaker = self._breakers.get(key)
        if breaker is None:
            breaker = self._breakers[key] = CircuitBreaker(
                failure_threshold=self._settings.breaker_failure_threshold,
                failure_seconds=self._settings.breaker_failure_seconds,
                cooldown_seconds=self._settings.breaker_cooldown_seconds,
            )
        return breaker

    def closed_seconds(self, app_id: str) -> float:
        """How long nothing at all would be admitted to the app; 0 while a platform's breaker lets one out."""
        now = self._clock()
        breakers = [breaker for (known, _), breaker in self._breakers.items() if known == app_id]
        return min((breaker.closed_seconds(now) for breaker in breakers), default=0.0)

    async def warm_up(self) -> None:
        await self._channel.warm_up()

    async def check_provider(self, app_id: str) -> None:
        """Asked past the breakers: a check is no traffic."""
        await self._channel.check_provider(app_id)

    async def close(self) -> None:
        await self._channel.close()


def _tell_of_opening(key: _Key, cause: Classification) -> None:
    app_id, platform = key
    BREAKER_OPENED.labels(app_id=app_id, code=cause.code).inc()
    get_logger().error(
        "provider closed to sends",
        action="breaker.opened",
        app_id=app_id,
        platform=platform.value if platform else None,
        code=cause.code,
        reason=cause.reason,
    )


class _BreakerGuard:
    """A SendGuard in front of the caller's: asks it first, and the breakers last."""

    def __init__(self, gate: ProviderGate, guard: SendGuard) -> None:
        self._gate = gate
        self._guard = guard
        self._admitted: dict[tuple[int, int], tuple[CircuitBreaker, Admission]] = {}

    def refusal(self, push: Push, target: PushTarget) -> Classification | None:
        message = id(push), id(target)
        refused = self._guard.refusal(push, target)
        if refused is not None:
            self._give_back(message)
            return refused
        if message in self._admitted:
            return None
        admitted = self._gate.admit(target)
        if isinstance(admitted, Refusal):
            return deferral(
                admitted.code,
                admitted.reason,
                admitted.retry_after_seconds,
                unreached=admitted.unreached,
            )
        self._admitted[message] = admitted
        return None

    def answered(self, push: Push, target: PushTarget, result: TargetResult) -> None:
        breaker, admission = self._admitted.pop((id(push), id(target)))
        self._gate.record(target, result, breaker, admission)
        self._guard.answered(push, target, result)

    def give_back_rest(self) -> None:
        """What was let out and never answered, as when the sending was cancelled."""
        for message in list(self._admitted):
            self._give_back(message)

    def _give_back(self, message: tuple[int, int]) -> None:
        if message in self._admitted:
            breaker, admission = self._admitted.pop(message)
            breaker.give_back(admission)

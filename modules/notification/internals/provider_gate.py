"""Wraps a channel from outside: sends only what the breaker of the app's credential admits."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog

from modules.config.types import DeliverySettings
from modules.device_token.types import Platform
from modules.notification.internals.channels.port import PushChannel
from modules.notification.internals.circuit_breaker import CircuitBreaker, Refusal
from modules.notification.internals.delivery_metrics import BREAKER_OPENED
from modules.notification.types import (
    Classification,
    Outcome,
    PushPayload,
    PushTarget,
    SendPushResult,
    TargetResult,
    ThrottleScope,
)

_Key = tuple[str, Platform]


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
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channel = channel
        self._settings = settings
        self._monotonic = monotonic
        self._breakers: dict[_Key, CircuitBreaker] = {}

    async def send_push(self, targets: Sequence[PushTarget], payload: PushPayload) -> SendPushResult:
        results: dict[int, TargetResult] = {}
        admitted: list[int] = []
        for key, positions in _by_credential(targets).items():
            breaker = self._breaker(key)
            now = self._monotonic()
            count = breaker.admit(len(positions), now)
            admitted += positions[:count]
            refusal = breaker.refusal(now)
            for position in positions[count:]:
                results[position] = _deferred(targets[position], refusal)
        if admitted:
            results.update(await self._send(targets, admitted, payload))
        return SendPushResult(results=tuple(results[position] for position in range(len(targets))))

    async def _send(
        self, targets: Sequence[PushTarget], admitted: Sequence[int], payload: PushPayload
    ) -> dict[int, TargetResult]:
        try:
            sent = await self._channel.send_push([targets[position] for position in admitted], payload)
            results = dict(zip(admitted, sent.results, strict=True))
        except BaseException:
            for position in admitted:
                self._breaker(_key(targets[position])).abandon_probe()
            raise
        for position, result in results.items():
            self._record(_key(targets[position]), result)
        return results

    def _record(self, key: _Key, result: TargetResult) -> None:
        app_id, platform = key
        # A project's quota is every platform's: all of the app wait.
        project_wide = result.classification.scope is ThrottleScope.PROJECT
        keys = [(app_id, each) for each in Platform] if project_wide else [key]
        for each in keys:
            if self._breaker(each).record(result, self._monotonic()):
                BREAKER_OPENED.labels(app_id=app_id, code=result.classification.code).inc()
                structlog.get_logger().error(
                    "provider closed to sends",
                    action="breaker.opened",
                    app_id=app_id,
                    platform=platform.value,
                    code=result.classification.code,
                    reason=result.classification.reason,
                )

    def _breaker(self, key: _Key) -> CircuitBreaker:
        if key not in self._breakers:
            self._breakers[key] = CircuitBreaker(
                failure_threshold=self._settings.breaker_failure_threshold,
                cooldown_seconds=self._settings.breaker_cooldown_seconds,
            )
        return self._breakers[key]

    async def warm_up(self) -> None:
        await self._channel.warm_up()

    async def check_provider(self, app_id: str) -> None:
        """Asked past the breakers: a check is no traffic."""
        await self._channel.check_provider(app_id)

    async def close(self) -> None:
        await self._channel.close()


def _key(target: PushTarget) -> _Key:
    return target.app_id, target.platform


def _by_credential(targets: Sequence[PushTarget]) -> dict[_Key, list[int]]:
    groups: dict[_Key, list[int]] = {}
    for position, target in enumerate(targets):
        groups.setdefault(_key(target), []).append(position)
    return groups


def _deferred(target: PushTarget, refusal: Refusal) -> TargetResult:
    return TargetResult(
        device_id=target.device_id,
        classification=Classification(
            outcome=Outcome.THROTTLED,
            code=refusal.code,
            reason=refusal.reason,
            retry_after_seconds=refusal.retry_after_seconds,
            attempted=False,
        ),
    )

"""Wraps a channel from outside: sends only what the breaker of the app's credential admits."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from modules.config.types import DeliverySettings
from modules.device_token.types import Platform
from modules.logger.logger_service import get_logger
from modules.notification.internals.channels.port import PushChannel
from modules.notification.internals.circuit_breaker import Admission, CircuitBreaker, Refusal
from modules.notification.internals.delivery_metrics import BREAKER_OPENED
from modules.notification.types import (
    Classification,
    Outcome,
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
# The number of a push and the place of a target in it.
_Place = tuple[int, int]


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
        self.app_ids = channel.app_ids
        self._settings = settings
        self._monotonic = monotonic
        self._breakers: dict[_Key, CircuitBreaker] = {}

    async def send_each(
        self, pushes: Sequence[Push], *, may_send: Callable[[], bool]
    ) -> list[SendPushResult]:
        """See PushChannel."""
        plain = await self._send_plain(pushes, may_send)
        if plain is not None:
            return plain
        places = [(number, place) for number, push in enumerate(pushes) for place in range(len(push.targets))]
        results: dict[_Place, TargetResult] = {}
        admitted: dict[_Place, Admission] = {}
        for key, wanting in self._by_credential(pushes, places).items():
            breaker = self._breaker(key)
            now = self._monotonic()
            admission = breaker.admit(len(wanting), now)
            if admission.count < len(wanting):
                # Probes cost retries: the same row must not pay for all of them.
                random.shuffle(wanting)
            admitted.update(dict.fromkeys(wanting[: admission.count], admission))
            refusal = breaker.refusal(now)
            for number, place in wanting[admission.count :]:
                results[number, place] = _deferred(pushes[number].targets[place], refusal)
        if admitted:
            results.update(await self._send(pushes, admitted, may_send))
        return [
            SendPushResult(results=tuple(results[number, place] for place in range(len(push.targets))))
            for number, push in enumerate(pushes)
        ]

    async def validate_push(self, targets: Sequence[PushTarget], payload: PushPayload) -> SendPushResult:
        """Asked past the breakers: a check is no traffic."""
        return await self._channel.validate_push(targets, payload)

    async def _send_plain(
        self, pushes: Sequence[Push], may_send: Callable[[], bool]
    ) -> list[SendPushResult] | None:
        """The ordinary case, in which nothing has to be sorted: every breaker concerned is closed."""
        now = self._monotonic()
        wanted = Counter(self._key(target) for push in pushes for target in push.targets)
        if not all(self._breaker(key).is_closed(now) for key in wanted):
            return None
        admissions = {key: self._breaker(key).admit(count, now) for key, count in wanted.items()}
        sent = await self._channel.send_each(pushes, may_send=may_send)
        for push, each in zip(pushes, sent, strict=True):
            for target, result in zip(push.targets, each.results, strict=True):
                key = self._key(target)
                self._record(key, result, admissions[key])
        return sent

    async def _send(
        self, pushes: Sequence[Push], admitted: Mapping[_Place, Admission], may_send: Callable[[], bool]
    ) -> dict[_Place, TargetResult]:
        places_of: dict[int, list[int]] = {}
        for number, place in sorted(admitted):
            places_of.setdefault(number, []).append(place)
        let_through = [
            replace(pushes[number], targets=[pushes[number].targets[place] for place in places])
            for number, places in places_of.items()
        ]
        try:
            sent = await self._channel.send_each(let_through, may_send=may_send)
            flat = [result for each in sent for result in each.results]
            results = dict(zip(sorted(admitted), flat, strict=True))
        except BaseException:
            for (number, place), admission in admitted.items():
                self._breaker(self._key(pushes[number].targets[place])).give_back(admission)
            raise
        for (number, place), result in results.items():
            self._record(self._key(pushes[number].targets[place]), result, admitted[number, place])
        return results

    def _record(self, key: _Key, result: TargetResult, admission: Admission) -> None:
        app_id, platform = key
        # A project's quota is every platform's: all of the app wait.
        project_wide = result.classification.scope is ThrottleScope.PROJECT
        keys = [(app_id, each) for each in (*Platform, None)] if project_wide else [key]
        for each in keys:
            if self._breaker(each).record(result, self._monotonic(), admission):
                BREAKER_OPENED.labels(app_id=app_id, code=result.classification.code).inc()
                get_logger().error(
                    "provider closed to sends",
                    action="breaker.opened",
                    app_id=app_id,
                    platform=platform.value if platform else None,
                    code=result.classification.code,
                    reason=result.classification.reason,
                )

    def _key(self, target: PushTarget) -> _Key:
        # Anybody can name an app: those without credentials are never sent to, and share what never opens.
        return target.app_id if target.app_id in self.app_ids else NO_APP_ID, target.platform

    def _by_credential(self, pushes: Sequence[Push], places: Sequence[_Place]) -> dict[_Key, list[_Place]]:
        groups: dict[_Key, list[_Place]] = {}
        for number, place in places:
            groups.setdefault(self._key(pushes[number].targets[place]), []).append((number, place))
        return groups

    def _breaker(self, key: _Key) -> CircuitBreaker:
        if key not in self._breakers:
            self._breakers[key] = CircuitBreaker(
                failure_threshold=self._settings.breaker_failure_threshold,
                cooldown_seconds=self._settings.breaker_cooldown_seconds,
            )
        return self._breakers[key]

    def closed_seconds(self, app_id: str) -> float:
        """How long nothing at all would be admitted to the app; 0 while a platform's breaker lets one out."""
        now = self._monotonic()
        breakers = [breaker for (known, _), breaker in self._breakers.items() if known == app_id]
        return min((breaker.closed_seconds(now) for breaker in breakers), default=0.0)

    async def warm_up(self) -> None:
        await self._channel.warm_up()

    async def check_provider(self, app_id: str) -> None:
        """Asked past the breakers: a check is no traffic."""
        await self._channel.check_provider(app_id)

    async def close(self) -> None:
        await self._channel.close()


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

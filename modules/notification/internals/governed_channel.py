"""Wraps a channel from outside: what is sent keeps to the credential's rate, which all processes share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from modules.application.errors import UnavailableError
from modules.notification.internals.channels.port import PushChannel
from modules.notification.internals.rate_governor import RateGovernor
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

RATE_UNKNOWN_SECONDS = 1.0
LOOK_AGAIN_SECONDS = 1.0


class GovernedChannel:
    """A PushChannel in front of a PushChannel.

    Immediate messages never wait for a permit: they are subtracted from what the others get. During a pause
    nothing is attempted, and no retry is spent. An app without credentials has no rate: its targets go past.
    """

    def __init__(self, channel: PushChannel, governor: RateGovernor, *, immediate: bool) -> None:
        self._channel = channel
        self.app_ids = channel.app_ids
        self._governor = governor
        self._immediate = immediate

    async def send_each(
        self, pushes: Sequence[Push], *, may_send: Callable[[], bool]
    ) -> list[SendPushResult]:
        """See PushChannel."""
        app_ids = sorted(_app_ids(pushes).intersection(self.app_ids))
        reasons = await asyncio.gather(*(self._why_not(app_id, pushes) for app_id in app_ids))
        closed = dict(zip(app_ids, reasons, strict=True))
        if not any(closed.values()):
            results = await self._channel.send_each(pushes, may_send=may_send)
        else:
            results = await self._send_open(pushes, closed, may_send)
        self._note_pauses(pushes, results)
        return results

    async def validate_push(self, targets: Sequence[PushTarget], payload: PushPayload) -> SendPushResult:
        """Asked past the rate: a check is no traffic."""
        return await self._channel.validate_push(targets, payload)

    async def _send_open(
        self,
        pushes: Sequence[Push],
        closed: dict[str, Classification | None],
        may_send: Callable[[], bool],
    ) -> list[SendPushResult]:
        """Send to the apps that are open; the others' targets get the reason why not."""
        let_through = [
            replace(push, targets=[target for target in push.targets if closed.get(target.app_id) is None])
            for push in pushes
        ]
        sent = await self._channel.send_each(
            [each for each in let_through if each.targets], may_send=may_send
        )
        answers = iter(result for each in sent for result in each.results)
        return [
            SendPushResult(results=tuple(_answer(target, closed, answers) for target in push.targets))
            for push in pushes
        ]

    async def _why_not(self, app_id: str, pushes: Sequence[Push]) -> Classification | None:
        """Get leave for everything that goes to the app; None when it is had."""
        if self._governor.paused_seconds(app_id) > 0:
            return self._paused(app_id)
        wanted: dict[str, int] = {}
        for push in pushes:
            count = sum(target.app_id == app_id for target in push.targets)
            wanted[push.flow] = wanted.get(push.flow, 0) + count
        if self._immediate:
            self._governor.spend(app_id, sum(wanted.values()))
            return None
        try:
            for flow, count in wanted.items():
                if not await self._have_leave(app_id, flow, count):
                    return self._paused(app_id)
        except UnavailableError:
            return _deferred("RATE_UNKNOWN", "the shared rate cannot be read now", RATE_UNKNOWN_SECONDS)
        return None

    async def _have_leave(self, app_id: str, flow: str, count: int) -> bool:
        """Wait for all permits; False when a pause begins meanwhile: a claim does not outlast one."""
        left = count
        while left:
            try:
                async with asyncio.timeout(LOOK_AGAIN_SECONDS):
                    left -= await self._governor.acquire(app_id, flow=flow, wanted=left)
            except TimeoutError:
                if self._governor.paused_seconds(app_id) > 0:
                    return False
        return True

    def _paused(self, app_id: str) -> Classification:
        seconds = self._governor.paused_seconds(app_id)
        return _deferred("PROVIDER_PAUSED", "the provider asked everyone to slow down", seconds)

    def _note_pauses(self, pushes: Sequence[Push], results: Sequence[SendPushResult]) -> None:
        for push, sent in zip(pushes, results, strict=True):
            for target, result in zip(push.targets, sent.results, strict=True):
                verdict = result.classification
                if verdict.attempted and verdict.scope is ThrottleScope.PROJECT:
                    seconds = verdict.retry_after_seconds or verdict.min_backoff_seconds
                    self._governor.pause(target.app_id, seconds, verdict.code)

    async def warm_up(self) -> None:
        await self._channel.warm_up()

    async def check_provider(self, app_id: str) -> None:
        """Asked past the rate: a check is no traffic."""
        await self._channel.check_provider(app_id)

    async def close(self) -> None:
        await self._channel.close()


def _app_ids(pushes: Sequence[Push]) -> set[str]:
    return {target.app_id for push in pushes for target in push.targets}


def _answer(
    target: PushTarget, closed: dict[str, Classification | None], answers: Iterator[TargetResult]
) -> TargetResult:
    reason = closed.get(target.app_id)
    if reason is None:
        return next(answers)
    return TargetResult(device_id=target.device_id, classification=reason)


def _deferred(code: str, reason: str, retry_after_seconds: float) -> Classification:
    return Classification(
        outcome=Outcome.THROTTLED,
        code=code,
        reason=reason,
        retry_after_seconds=retry_after_seconds,
        attempted=False,
    )

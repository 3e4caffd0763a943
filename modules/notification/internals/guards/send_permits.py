"""One lane's permits to send through a provider: what the rate that all processes share has room for now."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from modules.application.errors import ServiceError
from modules.application.steady_clock import steady_seconds
from modules.notification.internals.domain.deferrals import RATE_UNKNOWN, paused
from modules.notification.internals.guards.rate_governor import RateGovernor
from modules.notification.types import Classification, TargetResult, ThrottleScope

ASK_AGAIN_SECONDS = 1.0
# What comes in pieces within this goes out together: each portion costs a write of its own.
GATHER_SECONDS = 0.05


class SendPermits:
    """Immediate messages never wait for a permit: they are subtracted from what the others get.

    During a pause nothing is let out, and no retry is spent. An app without credentials has no rate.
    """

    def __init__(self, governor: RateGovernor, app_ids: Collection[str], *, immediate: bool) -> None:
        self._governor = governor
        self._app_ids = app_ids
        self._immediate = immediate

    async def take(self, app_id: str, *, flow: str, wanted: int) -> int | Classification:
        """How many of `wanted` messages of a flow may go out now, or why none may.

        Waits ASK_AGAIN_SECONDS at the most; 0 when there was no room in that time.
        """
        if app_id not in self._app_ids:
            return wanted
        seconds = self.paused_seconds(app_id)
        if seconds > 0:
            return paused(seconds)
        if self._immediate:
            return wanted
        try:
            return await self._granted(app_id, flow, wanted)
        except ServiceError:
            return RATE_UNKNOWN

    async def _granted(self, app_id: str, flow: str, wanted: int) -> int:
        granted, patience = 0, ASK_AGAIN_SECONDS
        until = steady_seconds() + patience
        while granted < wanted:
            try:
                async with asyncio.timeout(max(0.0, until - steady_seconds())):
                    more = await self._governor.acquire(app_id, flow=flow, wanted=wanted - granted)
            except TimeoutError:
                break
            except ServiceError:
                if granted:
                    break
                raise
            if not granted:
                until = steady_seconds() + GATHER_SECONDS
            granted += more
        return granted

    def settle(self, app_id: str, *, flow: str, granted: int, used: int) -> None:
        """Say how many of the messages that had permits went out: the rest of it goes back."""
        if app_id not in self._app_ids:
            return
        if self._immediate and used:
            self._governor.spend(app_id, used)
        elif not self._immediate and granted > used:
            self._governor.give_back(app_id, flow=flow, count=granted - used)

    def paused_seconds(self, app_id: str) -> float:
        return self._governor.paused_seconds(app_id)

    def note(self, app_id: str, result: TargetResult) -> None:
        """Have every process wait when an answer says that the whole project has to."""
        verdict = result.classification
        if verdict.attempted and verdict.scope is ThrottleScope.PROJECT:
            seconds = verdict.retry_after_seconds or verdict.min_backoff_seconds
            self._governor.pause(app_id, seconds, verdict.code)

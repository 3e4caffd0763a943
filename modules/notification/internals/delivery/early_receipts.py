"""Looks for receipts that came before the outcomes they are about, once for many outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from modules.application.errors import ServiceError
from modules.logger.logger_service import get_logger
from modules.notification.internals.push_notification_writer import PushNotificationWriter, SettledRow

# Nobody waits for a receipt: a look for each outcome would cost every delivery a question to MongoDB.
LINGER_SECONDS = 0.2
CLOSE_SECONDS = 1.0


class EarlyReceipts:
    """Lives on one event loop. What is lost with its process, the next scan counts."""

    def __init__(self, writer: PushNotificationWriter) -> None:
        self._writer = writer
        self._written: list[SettledRow] = []
        self._timer: asyncio.TimerHandle | None = None
        self._looking: asyncio.Task[None] | None = None

    def expect(self, settled: Sequence[SettledRow]) -> None:
        """Look, in a moment, for receipts of those of these written outcomes that can have some."""
        self._written.extend(settled)
        self._look_later()

    async def close(self) -> None:
        """Look for those that nobody has looked for yet; what takes too long is left to the next scan."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                if self._looking is not None:
                    await asyncio.wait({self._looking})
                if self._timer is not None:
                    self._timer.cancel()
                    await asyncio.wait({self._begin()})

    def _look_later(self) -> None:
        # One look at a time: what is written meanwhile is looked at together, however slow MongoDB is.
        if self._written and self._timer is None and self._looking is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._begin)

    def _begin(self) -> asyncio.Task[None]:
        self._timer = None
        written, self._written = self._written, []
        self._looking = asyncio.create_task(self._look(written), name="early-receipts")
        self._looking.add_done_callback(self._looked)
        return self._looking

    def _looked(self, _: asyncio.Task[None]) -> None:
        self._looking = None
        self._look_later()

    async def _look(self, written: Sequence[SettledRow]) -> None:
        try:
            await self._writer.apply_receipts(written)
        except ServiceError as error:
            # The outcomes are written, whatever becomes of receipts.
            get_logger().warning("receipts left", action="push.receipts_left", code=error.code)

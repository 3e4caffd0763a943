"""Lets large batches take turns: what waits for a turn is not claimed, and nothing known of it grows old."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

# One is sent while the next is claimed and the last one is recorded.
BATCHES_AT_ONCE = 2
# As many messages take all that one app sends at once (`fcm.max_concurrent_requests`).
LARGE_BATCH_ROWS = 100


class BatchTurns:
    """Batches of one kind wait for each other, and for no others. Lives on one event loop."""

    def __init__(self) -> None:
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, kind: str, rows: int) -> AsyncIterator[None]:
        """Wait for the turn of so many rows, and have it until the block ends; a small batch goes at once."""
        if rows < LARGE_BATCH_ROWS:
            yield
            return
        turns = self._turns.setdefault(kind, asyncio.Semaphore(BATCHES_AT_ONCE))
        async with turns:
            yield

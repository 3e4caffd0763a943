"""Delivers the rows that are due in a range of the scan, in chunks: the way a backlog drains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime

from modules.notification.internals.delivery.batch_turns import BatchTurns
from modules.notification.internals.delivery.row_delivery import RowDelivery
from modules.notification.internals.push_notification_reader import PushNotificationReader

# The sends of one chunk may repeat when a worker is killed.
CHUNK_ROWS = 500
# All rows that are due, beside those of campaigns.
DUE = "due"

Keyset = tuple[datetime, str]


class DueDelivery:
    """Lives on one event loop. Safe to repeat: what was delivered is not due any more."""

    def __init__(self, reader: PushNotificationReader, delivery: RowDelivery, turns: BatchTurns) -> None:
        self._reader = reader
        self._delivery = delivery
        self._turns = turns

    async def deliver_range(
        self, *, after: Keyset | None, last: Keyset, heartbeat: Callable[[], None]
    ) -> dict[str, int]:
        """Deliver the normal rows due from the keyset `after` (left out) to `last`; counts them by status.

        `heartbeat` is called after each chunk. Raises UnavailableError when MongoDB does not answer.
        """
        ids = await self._reader.due_range(after=after, last=last)
        counts: Counter[str] = Counter()
        for start in range(0, len(ids), CHUNK_ROWS):
            chunk = ids[start : start + CHUNK_ROWS]
            async with self._turns.turn(DUE, len(chunk)):
                reports = await self._delivery.deliver(chunk)
            counts.update(report.status.value for report in reports)
            heartbeat()
        return dict(counts)

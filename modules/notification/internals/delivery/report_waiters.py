"""Tells a waiting caller in the same process what became of its notification, before the workflow closes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from modules.notification.types import DeliveryReport


class ReportWaiters:
    """Lives on one event loop; a report nobody waits for is dropped."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[asyncio.Future[DeliveryReport]]] = {}

    @contextmanager
    def expecting(self, notification_id: str) -> Iterator[asyncio.Future[DeliveryReport]]:
        """A future that the next report on this notification resolves; forgotten when the block is left."""
        future: asyncio.Future[DeliveryReport] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(notification_id, []).append(future)
        try:
            yield future
        finally:
            futures = self._waiting[notification_id]
            futures.remove(future)
            if not futures:
                del self._waiting[notification_id]
            future.cancel()

    def announce(self, report: DeliveryReport) -> None:
        """Hand a report to everyone who expects it."""
        for future in self._waiting.get(report.notification_id, ()):
            if not future.done():
                future.set_result(report)

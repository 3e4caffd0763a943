"""Delivers rows that are asked for one by one together: several share what a claim and a write cost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bson import ObjectId

from modules.notification.types import DeliveryReport

# Ordinary rows come by a scan every few minutes: nobody notices so short a wait.
LINGER_SECONDS = 0.1
MOST_ROWS = 100

Deliver = Callable[[Sequence[ObjectId]], Awaitable[list[DeliveryReport]]]


@dataclass(frozen=True, slots=True)
class _Waiting:
    row_ids: Sequence[ObjectId]
    reports: asyncio.Future[list[DeliveryReport]]


class DeliveryGroup:
    """Collects what is asked for within LINGER_SECONDS, MOST_ROWS at the most. Lives on one event loop."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._waiting: list[_Waiting] = []
        self._timer: asyncio.TimerHandle | None = None
        self._delivering: set[asyncio.Task[None]] = set()

    async def deliver(self, row_ids: Sequence[ObjectId]) -> list[DeliveryReport]:
        """As RowDelivery.deliver, a moment later; raises what it raises."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(row_ids, loop.create_future())
        self._waiting.append(waiting)
        if sum(len(each.row_ids) for each in self._waiting) >= MOST_ROWS:
            self._begin()
        elif self._timer is None:
            self._timer = loop.call_later(LINGER_SECONDS, self._begin)
        return await waiting.reports

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        group, self._waiting = self._waiting, []
        task = asyncio.create_task(self._deliver_group(group))
        self._delivering.add(task)
        task.add_done_callback(self._delivering.discard)

    async def _deliver_group(self, group: Sequence[_Waiting]) -> None:
        wanted = list(dict.fromkeys(id_ for each in group for id_ in each.row_ids))
        try:
            reports = dict(zip(wanted, await self._deliver(wanted), strict=True))
            for each in group:
                if not each.reports.done():
                    each.reports.set_result([reports[id_] for id_ in each.row_ids])
        except BaseException as error:
            for each in group:
                if not each.reports.done():
                    each.reports.set_exception(error)
            if not isinstance(error, Exception):
                raise

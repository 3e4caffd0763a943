"""Delivers rows that are asked for one by one together: several share what a claim and a write cost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from modules.notification.internals.push_notification_reader import row_id_of
from modules.notification.types import DeliveryReport

# Ordinary rows come by a scan every few minutes: nobody notices so short a wait.
LINGER_SECONDS = 0.1
MOST_ROWS = 100

Deliver = Callable[[Sequence[str]], Awaitable[list[DeliveryReport]]]


@dataclass(frozen=True, slots=True)
class _Waiting:
    notification_ids: Sequence[str]
    reports: asyncio.Future[list[DeliveryReport]]


class DeliveryGroup:
    """Collects what is asked for within LINGER_SECONDS, MOST_ROWS at the most. Lives on one event loop."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._waiting: list[_Waiting] = []
        self._timer: asyncio.TimerHandle | None = None
        self._delivering: set[asyncio.Task[None]] = set()

    async def deliver(self, notification_ids: Sequence[str]) -> list[DeliveryReport]:
        """As RowDelivery.deliver, a moment later; raises what it raises.

        Raises PushNotificationNotFoundError at once for what can be no id: the others must not fail with it.
        """
        notification_ids = [str(row_id_of(notification_id)) for notification_id in notification_ids]
        loop = asyncio.get_running_loop()
        waiting = _Waiting(notification_ids, loop.create_future())
        self._waiting.append(waiting)
        if sum(len(each.notification_ids) for each in self._waiting) >= MOST_ROWS:
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
        wanted = list(dict.fromkeys(id_ for each in group for id_ in each.notification_ids))
        try:
            reports = {report.notification_id: report for report in await self._deliver(wanted)}
            for each in group:
                if not each.reports.done():
                    each.reports.set_result([reports[id_] for id_ in each.notification_ids])
        except BaseException as error:
            for each in group:
                if not each.reports.done():
                    each.reports.set_exception(error)
            if not isinstance(error, Exception):
                raise

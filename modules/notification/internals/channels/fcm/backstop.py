"""A second deadline for requests, in case the client does not keep its own: one timer for all of them."""

from __future__ import annotations

import asyncio

LOOK_SECONDS = 1.0


class Backstop:
    """Cancels a task whose request takes longer than `seconds`, LOOK_SECONDS late at most.

    Lives on one event loop. asyncio.timeout would set a timer for every request and take it back, at a tenth
    of what a message costs.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends: dict[asyncio.Task[object], float] = {}
        self._cancelled: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> asyncio.Task[object]:
        """The request that begins is the running task's only one until `end`, for which it is returned."""
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        self._ends[task] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_later(LOOK_SECONDS, self._look)
        return task

    def end(self, task: asyncio.Task[object]) -> None:
        self._ends.pop(task, None)
        self._cancelled.discard(task)

    def has_cancelled(self, task: asyncio.Task[object]) -> bool:
        """Whether a CancelledError that the task caught is this one's alone; it is taken back then."""
        return task in self._cancelled and task.uncancel() == 0

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for task in [task for task, ends in self._ends.items() if ends <= now]:
            del self._ends[task]
            self._cancelled.add(task)
            task.cancel()
        self._timer = loop.call_later(LOOK_SECONDS, self._look) if self._ends else None

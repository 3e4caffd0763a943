"""A second deadline for requests, in case the client does not keep its own: one timer for all of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

LOOK_SECONDS = 1.0


@dataclass(slots=True)
class _Request:
    """When it ends at the latest, how many cancels its task had met before, whether one of ours came."""

    ends: float
    met: int
    is_cancelled: bool = False


class Backstop:
    """Cancels a task whose request takes longer than `seconds`, `look_seconds` late at most.

    Lives on one event loop. asyncio.timeout would set a timer for every request and take it back, at a tenth
    of what a message costs.
    """

    def __init__(self, seconds: float, *, look_seconds: float = LOOK_SECONDS) -> None:
        self._seconds = seconds
        self._look_seconds = look_seconds
        self._requests: dict[asyncio.Task[object], _Request] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> asyncio.Task[object]:
        """The request that begins is the running task's only one until `end`, for which it is returned."""
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        self._requests[task] = _Request(loop.time() + self._seconds, task.cancelling())
        if self._timer is None:
            self._timer = loop.call_later(self._look_seconds, self._look)
        return task

    def has_cancelled(self, task: asyncio.Task[object]) -> bool:
        """Whether the CancelledError that the task has caught is this one's, and nobody else's too."""
        request = self._requests[task]
        return request.is_cancelled and task.cancelling() <= request.met + 1

    def end(self, task: asyncio.Task[object]) -> None:
        """The request has ended; a cancel of ours is taken back, also one that the client swallowed."""
        if self._requests.pop(task).is_cancelled:
            task.uncancel()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for task, request in self._requests.items():
            if request.ends <= now and not request.is_cancelled:
                request.is_cancelled = True
                task.cancel()
        self._timer = loop.call_later(self._look_seconds, self._look) if self._requests else None

"""Serves on after a worker has died: for a process that has other work, and nobody who starts it again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from temporalio.client import Client

from modules.application.internals.temporal_gateway import ConnectedHook
from modules.application.internals.worker_server import WorkerServer
from modules.application.worker import Lane, WorkerPlan
from modules.logger.logger_service import get_logger

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
_log = get_logger()


class LastingServer(WorkerServer):
    """A WorkerServer that logs what ended by itself and serves the whole plan again, on a new connection.

    The pause before that doubles from the first up to the longest, and starts over once a server has lived
    for longer than that.
    """

    def __init__(
        self,
        plan: WorkerPlan,
        task_queue: Callable[[Lane], str],
        *,
        renew: Callable[[ConnectedHook], Awaitable[None]],
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
        longest_pause_seconds: float = LONGEST_PAUSE_SECONDS,
    ) -> None:
        super().__init__(plan, task_queue)
        self._renew = renew
        self._first_pause_seconds = first_pause_seconds
        self._longest_pause_seconds = longest_pause_seconds
        self._keeper: asyncio.Task[None] | None = None

    async def start(self, client: Client) -> None:
        await super().start(client)
        self._keeper = asyncio.create_task(self._keep(), name="keep-serving")

    async def wait(self) -> None:
        """Return when stopped."""
        if self._keeper is not None:
            await asyncio.wait({self._keeper})

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
        await super().stop()

    async def _keep(self) -> None:
        pause_seconds = self._first_pause_seconds
        serving_since = time.monotonic()
        cause = await self._cause_of_end()
        while True:
            if time.monotonic() - serving_since > self._longest_pause_seconds:
                pause_seconds = self._first_pause_seconds
            _log.error(
                "serving ended by itself", action="worker.ended", error=cause, again_in_seconds=pause_seconds
            )
            await super().stop()
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, self._longest_pause_seconds)
            serving_since = time.monotonic()
            cause = await self._serve_again()

    async def _serve_again(self) -> str:
        try:
            await self._renew(super().start)
        except Exception as error:  # noqa: BLE001 - logged by its name, then tried again
            return type(error).__name__
        return await self._cause_of_end()

    async def _cause_of_end(self) -> str:
        ended = await self._first_ended()
        if ended.cancelled():
            return asyncio.CancelledError.__name__
        return type(ended.exception()).__name__

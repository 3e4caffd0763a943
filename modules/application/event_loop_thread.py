"""One event loop in a thread of its own, so that plain and async code use the same clients."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

import uvloop

from modules.application.errors import ApplicationClosedError, ServiceError

ResultT = TypeVar("ResultT")
STOP_SECONDS = 5.0


class EventLoopThread:
    """A running event loop. MongoDB, Temporal and FCM clients belong to it for the life of the process."""

    def __init__(self, name: str = "notification-service") -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._lock = threading.Lock()
        self._stopping = False
        self._under_way: set[Future[Any]] = set()
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run a coroutine on the loop and block until it is done; raises what it raises.

        Raises ServiceError "would_deadlock" when called from the loop's own thread: use the async twin there.
        Raises ApplicationClosedError when the loop is stopped before it is done.
        """
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise ServiceError(
                code="would_deadlock", reason="called on the service's own loop; await the async twin"
            )
        future = self._submit(coroutine)
        try:
            return future.result()
        except CancelledError:
            if self._stopping:
                raise ApplicationClosedError from None
            raise
        except BaseException:
            # KeyboardInterrupt reaches the caller's thread only; the work behind it has to stop as well.
            future.cancel()
            raise

    async def call(self, work: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Run `work` on the loop from any loop and await its result without blocking the caller's.

        Raises ApplicationClosedError when the loop is stopped before it is done.
        """
        if asyncio.get_running_loop() is self._loop:
            return await work()

        async def on_loop() -> ResultT:
            return await work()

        future = asyncio.wrap_future(self._submit(on_loop()))
        # Unlike awaiting the future, wait tells a cancelled caller from cancelled work.
        try:
            await asyncio.wait({future})
        finally:
            future.cancel()
        if future.cancelled() and self._stopping:
            raise ApplicationClosedError
        return future.result()

    def _submit(self, coroutine: Coroutine[Any, Any, ResultT]) -> Future[ResultT]:
        with self._lock:
            if self._stopping:
                coroutine.close()
                raise ApplicationClosedError
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
            self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)
        return future

    def stop(self) -> None:
        """Cancel what still runs, stop the loop and join its thread; safe to call twice."""
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
        asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        # Who waits for a task that swallowed its cancellation would wait for ever.
        for future in list(self._under_way):
            future.cancel()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


async def _cancel_others() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    if others:
        # A task that swallows its cancellation must not keep the process.
        await asyncio.wait(others, timeout=STOP_SECONDS)

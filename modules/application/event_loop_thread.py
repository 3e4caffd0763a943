"""One event loop in a thread of its own, so that plain and async code use the same clients."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from modules.application.errors import ApplicationClosedError, ProcessForkedError, WouldDeadlockError
from modules.application.service_loop import LibraryLoop

ResultT = TypeVar("ResultT")
STOP_SECONDS = 5.0


class EventLoopThread:
    """A running event loop. MongoDB, Temporal and FCM clients belong to it for the life of the process.

    It has no thread in a process forked from this one: every method that would wait for it raises
    ProcessForkedError there.
    """

    def __init__(
        self, name: str = "notification-service", *, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self._loop = loop or LibraryLoop()
        self._process_id = os.getpid()
        self._lock = threading.Lock()
        self._refusing = False
        self._stopping = False
        self._under_way: set[Future[Any]] = set()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run a coroutine on the loop and block until it is done; raises what it raises.

        Raises WouldDeadlockError when called from the loop's own thread: use the async twin there.
        Raises ApplicationClosedError when the loop is stopped before it is done.
        """
        return self._wait(coroutine, last=False)

    def run_last(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        """As `run`, and refuse every other call from outside from then on; what is on the loop goes on."""
        return self._wait(coroutine, last=True)

    def require_other_thread(self) -> None:
        """Raises WouldDeadlockError on the loop's own thread, where waiting for the loop has no end."""
        if threading.current_thread() is self._thread:
            raise WouldDeadlockError

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

    def _wait(self, coroutine: Coroutine[Any, Any, ResultT], *, last: bool) -> ResultT:
        try:
            self.require_other_thread()
        except WouldDeadlockError:
            coroutine.close()
            raise
        future = self._submit(coroutine, last=last)
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

    def _submit(self, coroutine: Coroutine[Any, Any, ResultT], *, last: bool = False) -> Future[ResultT]:
        if os.getpid() != self._process_id:
            coroutine.close()
            raise ProcessForkedError
        with self._lock:
            if self._refusing:
                coroutine.close()
                raise ApplicationClosedError
            self._refusing = last
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
            self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)
        return future

    def stop(self) -> None:
        """Cancel what still runs, stop the loop and join its thread; safe to call twice."""
        self.require_other_thread()
        if os.getpid() != self._process_id:
            raise ProcessForkedError
        with self._lock:
            self._refusing = True
            if self._stopping:
                return
            self._stopping = True
        asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        self._loop.run_forever()
        # Who waits for a task that swallowed its cancellation would wait for ever.
        for future in list(self._under_way):
            future.cancel()
        # Here, since the thread that stops it may have a loop of its own running.
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


async def _cancel_others() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    if others:
        # A task that swallows its cancellation must not keep the process.
        await asyncio.wait(others, timeout=STOP_SECONDS)

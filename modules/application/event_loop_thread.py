"""One event loop in a thread of its own, so that plain and async code use the same clients."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Set
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar
from weakref import WeakSet

from modules.application.errors import (
    ApplicationClosedError,
    ProcessForkedError,
    ServiceError,
    WouldDeadlockError,
)
from modules.application.service_loop import LibraryLoop

ResultT = TypeVar("ResultT")
STOP_SECONDS = 5.0
_CUTTING: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


def is_cut() -> bool:
    """Whether work that is cancelled now is cut by the loop's end: its caller waits and can be told.

    False where the caller itself gave up.
    """
    return asyncio.get_running_loop() in _CUTTING


@contextmanager
def told_if_cut(error: Callable[[], ServiceError]) -> Iterator[None]:
    """Have the caller of work that is cut within the block get what `error` makes."""
    try:
        yield
    except asyncio.CancelledError:
        if is_cut():
            raise error() from None
        raise


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
        # Of calls from outside, and of those what only the end of the application ends; the loop's own.
        self._calls: dict[asyncio.Task[Any], Future[Any]] = {}
        self._lasting: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run a coroutine on the loop and block until it is done; raises what it raises.

        Raises WouldDeadlockError when called from the loop's own thread: use the async twin there.
        Raises ApplicationClosedError when the loop ends, or cuts its calls, before it is done.
        """
        return self._wait(coroutine, last=False)

    def run_last(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        """As `run`, and refuse every other call from outside from then on; what is on the loop goes on."""
        return self._wait(coroutine, last=True)

    async def end_calls(self, *, within_seconds: float) -> None:
        """Wait for the other calls from outside, then cut those that take longer; for `run_last`'s work.

        Who waits for one that is cut gets ApplicationClosedError, or what the work raises as it `is_cut`.
        """
        calls = self._calls.keys() - self._lasting - {asyncio.current_task()}
        if calls:
            _, calls = await asyncio.wait(calls, timeout=within_seconds)
        _CUTTING.add(self._loop)
        await _cancel(calls)

    def require_other_thread(self) -> None:
        """Raises WouldDeadlockError on the loop's own thread, where waiting for the loop has no end."""
        if threading.current_thread() is self._thread:
            raise WouldDeadlockError

    async def call(self, work: Callable[[], Awaitable[ResultT]], *, lasting: bool = False) -> ResultT:
        """Run `work` on the loop from any loop and await its result without blocking the caller's.

        `lasting` says that only the end of the application ends it: `end_calls` does not wait for it.
        Raises ApplicationClosedError when the loop ends, or cuts its calls, before it is done.
        """
        if asyncio.get_running_loop() is self._loop:
            if lasting:
                self._lasting.update(self._calls.keys() & {asyncio.current_task()})
            return await work()

        async def on_loop() -> ResultT:
            return await self.call(work, lasting=lasting)

        future = asyncio.wrap_future(self._submit(on_loop()))
        # Unlike awaiting the future, wait tells a cancelled caller from cancelled work.
        try:
            await asyncio.wait({future})
        finally:
            future.cancel()
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
        except BaseException:
            # KeyboardInterrupt reaches the caller's thread only; the work behind it has to stop as well.
            future.cancel()
            raise

    def _submit(self, coroutine: Coroutine[Any, Any, ResultT], *, last: bool = False) -> Future[ResultT]:
        if os.getpid() != self._process_id:
            coroutine.close()
            raise ProcessForkedError
        future: Future[ResultT] = Future()
        with self._lock:
            if self._refusing:
                coroutine.close()
                raise ApplicationClosedError
            self._refusing = last
            self._loop.call_soon_threadsafe(self._begin, coroutine, future)
        return future

    def _begin(self, coroutine: Coroutine[Any, Any, ResultT], future: Future[ResultT]) -> None:
        # As asyncio.run_coroutine_threadsafe, which does not tell the task, and tells no waiter why it ended.
        task = self._loop.create_task(coroutine)
        self._calls[task] = future
        task.add_done_callback(self._answer)
        future.add_done_callback(partial(self._given_up, task))

    def _given_up(self, task: asyncio.Task[Any], future: Future[Any]) -> None:
        if future.cancelled():
            self._loop.call_soon_threadsafe(task.cancel)

    def _answer(self, task: asyncio.Task[Any]) -> None:
        """Tell who waits for a call how it ended; asyncio reports a failure that nobody asks for."""
        future = self._calls.pop(task)
        self._lasting.discard(task)
        if not task.cancelled():
            error = task.exception()
        elif is_cut():
            error = ApplicationClosedError(may_have_happened=True)
        else:
            future.cancel()
        if future.done() or not future.set_running_or_notify_cancel():
            return
        if error is None:
            future.set_result(task.result())
        else:
            future.set_exception(error)

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
        asyncio.run_coroutine_threadsafe(self._cancel_all(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _cancel_all(self) -> None:
        _CUTTING.add(self._loop)
        await _cancel(asyncio.all_tasks() - {asyncio.current_task()})

    def _serve(self) -> None:
        self._loop.run_forever()
        # Who waits for a task that swallowed its cancellation would wait for ever.
        for future in list(self._calls.values()):
            if not future.done() and future.set_running_or_notify_cancel():
                future.set_exception(ApplicationClosedError(may_have_happened=True))
        # Here, since the thread that stops it may have a loop of its own running.
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


async def _cancel(tasks: Set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        # A task that swallows its cancellation must not keep the process.
        await asyncio.wait(tasks, timeout=STOP_SECONDS)

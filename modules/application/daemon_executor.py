"""Runs blocking calls in threads that do not keep a program from ending, and work on while it does."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import Empty, SimpleQueue
from typing import ParamSpec, TypeVar

Params = ParamSpec("Params")
ResultT = TypeVar("ResultT")
_Call = Callable[[], None]


class DaemonExecutor(Executor):
    """At most `max_threads` daemon threads, started as calls come and reused.

    The standard library's pool takes no call once the main thread has ended (concurrent.futures.thread,
    `_python_exit`), before other threads of the program have, and before anything can be closed in order.
    """

    def __init__(self, max_threads: int, *, name: str) -> None:
        self._max_threads = max_threads
        self._name = name
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._is_shut = False
        # Threads end with the executor that nobody shut down.
        weakref.finalize(self, _end, self._calls, self._threads).atexit = False

    def submit(
        self, fn: Callable[Params, ResultT], /, *args: Params.args, **kwargs: Params.kwargs
    ) -> Future[ResultT]:
        """Have a thread call `fn`; raises RuntimeError after `shutdown`."""
        future: Future[ResultT] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - handed to who waits for the result
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            if self._is_shut:
                raise RuntimeError("the executor was shut down")
            self._calls.put(call)
            if not self._idle.acquire(blocking=False) and len(self._threads) < self._max_threads:
                self._start_thread()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; those taken are made. Raises ValueError for `cancel_futures`."""
        if cancel_futures:
            raise ValueError("calls that were taken are made")
        with self._lock:
            if not self._is_shut:
                self._is_shut = True
                _end(self._calls, self._threads)
        if wait:
            for thread in self._threads:
                thread.join()

    def _start_thread(self) -> None:
        name = f"{self._name}-{len(self._threads)}"
        thread = threading.Thread(target=_serve, args=(self._calls, self._idle), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()


def _serve(calls: SimpleQueue[_Call | None], idle: threading.Semaphore) -> None:
    while True:
        try:
            call = calls.get_nowait()
        except Empty:
            idle.release()
            call = calls.get()
        if call is None:
            return
        call()
        del call


def _end(calls: SimpleQueue[_Call | None], threads: list[threading.Thread]) -> None:
    for _ in threads:
        calls.put(None)

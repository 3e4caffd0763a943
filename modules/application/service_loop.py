"""The event loops the service runs on, with blocking calls in threads that suit a library."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import uvloop

from modules.application.daemon_executor import DaemonExecutor

# As many as the standard library's pool has (concurrent.futures.ThreadPoolExecutor).
MAX_THREADS = min(32, (os.cpu_count() or 1) + 4)


class _OwnThreads:
    """Blocking calls, names of hosts included, are made in daemon threads of Python's own."""

    def __init__(self) -> None:
        super().__init__()
        self._blocking_calls = DaemonExecutor(MAX_THREADS, name="notification-service-call")

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> Any:
        loop: Any = super()
        return loop.run_in_executor(executor or self._blocking_calls, func, *args)

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        # uvloop would ask libuv's threads; a forked child that ends by itself joins them, though they are
        # not there, and is killed by that (libuv src/threadpool.c, `uv__threadpool_cleanup`).
        return await self.run_in_executor(None, socket.getaddrinfo, host, port, family, type, proto, flags)

    def close(self) -> None:
        loop: Any = super()
        loop.close()
        self._blocking_calls.shutdown(wait=False)


class LibraryLoop(_OwnThreads, asyncio.SelectorEventLoop):  # type: ignore[misc]
    """For a process that may fork: what a child drops of it closes the child's copy of a socket, no more.

    A handle of uvloop that is dropped there leaves the poll set that both share, which deafens the
    parent, and reads the stack of a thread that is gone (libuv, `uv__platform_invalidate_fd`).
    """


class WorkerLoop(_OwnThreads, uvloop.Loop):  # type: ignore[misc]
    """For a process of the service's own, which delivers pages."""

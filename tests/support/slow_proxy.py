"""A TCP path to a port that a test can slow down, or hold, while bytes keep their order."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from modules.application.event_loop_thread import EventLoopThread
from tests.support.fcm_files import LOOPBACK

CHUNK_BYTES = 65_536


class SlowProxy:
    """Passes connections on to `target_port`; `delay_seconds` is what each answer takes longer."""

    def __init__(self, target_port: int) -> None:
        self.delay_seconds = 0.0
        self.port = 0
        self._target_port = target_port
        self._thread = EventLoopThread("slow-proxy")
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()

    def hold(self) -> None:
        """Let nothing through any more, in either direction, on old and new connections."""
        self._thread.run(self._set(False))

    def release(self) -> None:
        self._thread.run(self._set(True))

    def __enter__(self) -> Self:
        self._server = self._thread.run(self._listen())
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.run(self._stop())
        self._thread.stop()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._connected, LOOPBACK, 0)

    async def _set(self, passes: bool) -> None:
        if passes:
            self._open.set()
        else:
            self._open.clear()

    async def _stop(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(LOOPBACK, self._target_port)
        for source, sink, slow in ((client, to_server, False), (server, to_client, True)):
            task = asyncio.create_task(self._pass_on(source, sink, slow=slow))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, slow: bool) -> None:
        try:
            while data := await source.read(CHUNK_BYTES):
                if slow and self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                await self._open.wait()
                sink.write(data)
                await sink.drain()
        except OSError:
            return
        finally:
            sink.close()

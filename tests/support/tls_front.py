"""Stands before a server that speaks HTTP/2 in clear, as a cluster's front does, with client certificates."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import h2.config
import h2.connection
import h2.events

from tests.support.fcm_files import LOOPBACK, TlsFiles

CHUNK = 65_536


@dataclass
class TlsFront:
    """Passes on what it decrypts to `host`:`port`, and notes each request's headers."""

    host: str
    upstream_port: int
    files: TlsFiles
    port: int = 0
    requests: list[dict[str, str]] = field(default_factory=list)
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.files.ca_file))
        context.load_cert_chain(self.files.certificate_file, self.files.key_file)
        context.verify_mode = ssl.CERT_REQUIRED
        context.set_alpn_protocols(["h2"])
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        # The client has no way to close its connection, and an open one is a warning in somebody else's test.
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await asyncio.gather(*(each.wait_closed() for each in self._writers), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.current_task()
        assert serving is not None
        self._serving.add(serving)
        upstream_reader, upstream_writer = await asyncio.open_connection(self.host, self.upstream_port)
        self._writers += [writer, upstream_writer]
        watching = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        watching.initiate_connection()
        await asyncio.gather(
            self._pass_on(reader, upstream_writer, watching),
            self._pass_on(upstream_reader, writer, None),
            return_exceptions=True,
        )
        for each in (writer, upstream_writer):
            each.close()

    async def _pass_on(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        watching: h2.connection.H2Connection | None,
    ) -> None:
        while data := await source.read(CHUNK):
            if watching is not None:
                self._note(watching.receive_data(data))
            sink.write(data)
            await sink.drain()
        sink.close()

    def _note(self, events: list[h2.events.Event]) -> None:
        for event in events:
            if isinstance(event, h2.events.RequestReceived):
                headers = ((bytes(name).decode(), bytes(value).decode()) for name, value in event.headers)
                self.requests.append(dict(headers))

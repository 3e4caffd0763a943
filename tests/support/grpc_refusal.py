"""Stands where Temporal's frontend is and answers every call with one gRPC status, as a guarded one does."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h2.config
import h2.connection
import h2.events

from tests.support.fcm_files import LOOPBACK, TlsFiles

CHUNK = 65_536


@asynccontextmanager
async def refusing_frontend(files: TlsFiles, status: int, message: str) -> AsyncIterator[int]:
    """Serves TLS without asking for a client's certificate; gives the port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate_file, files.key_file)
    context.set_alpn_protocols(["h2"])
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while data := await reader.read(CHUNK):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    trailers = [
                        (":status", "200"),
                        ("content-type", "application/grpc"),
                        ("grpc-status", str(status)),
                        ("grpc-message", message),
                    ]
                    connection.send_headers(event.stream_id, trailers, end_stream=True)
            writer.write(connection.data_to_send())

    server = await asyncio.start_server(serve, LOOPBACK, 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()

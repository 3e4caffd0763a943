"""Serves the core over TLS with HTTP/2 and HTTP/1.1, and can do every effect."""

from __future__ import annotations

import asyncio
import socket
import ssl

from simulator.certificates import TlsFiles
from simulator.exchange import Effect
from simulator.fcm_simulator import FcmSimulator
from simulator.http1_connection import Http1Connection
from simulator.http2_connection import Http2Connection

SUPPORTED_EFFECTS = frozenset(Effect) - {Effect.NONE}


class _AlpnChoice(asyncio.Protocol):
    # Both protocols need the transport as it is after the handshake.
    def __init__(self, simulator: FcmSimulator) -> None:
        self._simulator = simulator

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        http2 = transport.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        self._simulator.traffic.connections["HTTP/2" if http2 else "HTTP/1.1"] += 1
        connection = (Http2Connection if http2 else Http1Connection)(self._simulator)
        transport.set_protocol(connection)
        connection.connection_made(transport)


async def serve(
    simulator: FcmSimulator, listening: socket.socket, tls: TlsFiles, stop: asyncio.Event
) -> None:
    """Serve on the socket until `stop` is set; open connections end with the process."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls.certificate, tls.key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    server = await asyncio.get_running_loop().create_server(
        lambda: _AlpnChoice(simulator), sock=listening, ssl=context
    )
    await stop.wait()
    server.close()

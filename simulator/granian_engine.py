"""Serves the core through granian: a higher rate, but no control over streams and connections."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP2Settings
from granian.log import LogLevels
from granian.net import SocketHolder  # type: ignore[attr-defined]
from granian.server.embed import Server

from simulator.certificates import TlsFiles
from simulator.exchange import Answer, Effect, Request
from simulator.fcm_simulator import FcmSimulator
from simulator.http2_connection import DRIP_SECONDS, MAX_CONCURRENT_STREAMS

SUPPORTED_EFFECTS = frozenset({Effect.DRIP, Effect.HANG})
BACKLOG = 1024

_PROTOCOLS = {"2": "HTTP/2", "2.0": "HTTP/2"}


class _Server(Server):
    """Listens on a socket that is already open, so that the port is known and nobody can take it."""

    def __init__(self, listening: socket.socket, **options: Any) -> None:
        super().__init__(**options)
        self._listening = listening

    def _init_shared_socket(self) -> None:
        holder: Any = SocketHolder
        self._shd = holder(os.dup(self._listening.fileno()), False, BACKLOG)


class _Application:
    def __init__(self, simulator: FcmSimulator) -> None:
        self._simulator = simulator

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        path = f"{scope.path}?{scope.query_string}" if scope.query_string else scope.path
        answer = self._simulator.answer(
            Request(
                scope.method,
                path,
                scope.headers,
                await protocol(),
                _PROTOCOLS.get(scope.http_version, "HTTP/1.1"),
                scope.client.rpartition(":")[0].strip("[]"),
            )
        )
        if answer.delay_seconds > 0:
            await asyncio.sleep(answer.delay_seconds)
        if answer.effect is Effect.NONE:
            protocol.response_bytes(answer.status, list(answer.headers), answer.body)
        elif answer.effect is Effect.DRIP:
            await _drip(protocol, answer)
        else:
            await protocol.client_disconnect()


async def _drip(protocol: Any, answer: Answer) -> None:
    stream = protocol.response_stream(answer.status, list(answer.headers))
    for index in range(len(answer.body)):
        await stream.send_bytes(answer.body[index : index + 1])
        await asyncio.sleep(DRIP_SECONDS)


async def serve(
    simulator: FcmSimulator, listening: socket.socket, tls: TlsFiles, stop: asyncio.Event
) -> None:
    """Serve on the socket until `stop` is set; open connections end with the process.

    granian's own way to stop waits for every answer, those that never come included.
    """
    server: Any = _Server(
        listening,
        target=_Application(simulator),
        interface=Interfaces.RSGI,
        http=HTTPModes.auto,
        http2_settings=HTTP2Settings(max_concurrent_streams=MAX_CONCURRENT_STREAMS),
        websockets=False,
        log_level=LogLevels.error,
        ssl_cert=tls.certificate,
        ssl_key=tls.key,
    )
    serving = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
        raise RuntimeError("granian stopped serving")

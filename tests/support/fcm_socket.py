"""An HTTP/2 server over TLS that does to each request exactly what a test says, down to the frame."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import h2.config
import h2.connection
import h2.errors
import h2.events

from tests.support.fcm_files import LOOPBACK, TlsFiles

ACCEPTED_NAME = "projects/demo-project/messages/0:1"


@dataclass(frozen=True)
class Received:
    """A request that arrived whole; `connection` counts from 1."""

    connection: int
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.body)["message"]
        return message

    @property
    def address(self) -> str:
        return str(self.message.get("token") or self.message.get("fid") or self.message.get("topic"))


@dataclass
class Exchange:
    """One stream, to be answered or mistreated by a reaction."""

    server: FcmSocket
    protocol: _Connection
    stream_id: int

    @property
    def h2(self) -> h2.connection.H2Connection:
        return self.protocol.h2

    def flush(self) -> None:
        self.protocol.flush()

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.h2.send_headers(
            self.stream_id,
            [(":status", str(status)), ("content-type", "application/json"), *(headers or {}).items()],
            end_stream=not body,
        )
        if body:
            self.h2.send_data(self.stream_id, body, end_stream=True)
        self.flush()


Reaction = Callable[[Exchange], None]


def accept(exchange: Exchange) -> None:
    exchange.answer(200, json.dumps({"name": ACCEPTED_NAME}).encode())


def answering(
    status: int, body: bytes | dict[str, Any] = b"", headers: dict[str, str] | None = None
) -> Reaction:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda exchange: exchange.answer(status, content, headers)


def silent_after(arrived: asyncio.Event) -> Callable[[Received], Reaction]:
    """Sets the event, on the loop that asks for this, when a request arrives; it is never answered."""
    loop = asyncio.get_running_loop()

    def react(_: Received) -> Reaction:
        loop.call_soon_threadsafe(arrived.set)
        return silence

    return react


def silence(_: Exchange) -> None:
    """Take the request and never answer."""


def reset(code: h2.errors.ErrorCodes) -> Reaction:
    def react(exchange: Exchange) -> None:
        exchange.h2.reset_stream(exchange.stream_id, code)
        exchange.flush()

    return react


def abort(exchange: Exchange) -> None:
    """Reset the TCP connection."""
    exchange.protocol.transport.abort()


def go_away(*, processed: bool) -> Reaction:
    """Say goodbye in good order, naming this stream as processed or not, and close without an answer."""

    def react(exchange: Exchange) -> None:
        exchange.protocol.say_goodbye(exchange.stream_id if processed else max(exchange.stream_id - 2, 0))
        exchange.protocol.transport.close()

    return react


def go_away_and_abort(exchange: Exchange) -> None:
    """Say goodbye, naming this stream as processed, and reset the TCP connection."""
    exchange.protocol.say_goodbye(exchange.stream_id)
    exchange.protocol.transport.abort()


def cut_short(exchange: Exchange) -> None:
    """Send the headers and half a body, then close."""
    exchange.h2.send_headers(exchange.stream_id, [(":status", "200")])
    exchange.h2.send_data(exchange.stream_id, b'{"na')
    exchange.flush()
    exchange.protocol.transport.close()


def dribble(exchange: Exchange) -> None:
    """Send one byte every 20 ms, for ever."""
    exchange.h2.send_headers(exchange.stream_id, [(":status", "200")])
    exchange.flush()
    loop = asyncio.get_running_loop()

    def send_byte() -> None:
        if exchange.stream_id in exchange.protocol.open_streams:
            exchange.h2.send_data(exchange.stream_id, b" ")
            exchange.flush()
            loop.call_later(0.02, send_byte)

    send_byte()


def flood(exchange: Exchange) -> None:
    """Send as much as the client's windows take, for ever."""
    exchange.h2.send_headers(exchange.stream_id, [(":status", "200")])
    exchange.protocol.flooded.add(exchange.stream_id)
    exchange.protocol.pump_floods()


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, server: FcmSocket) -> None:
        self._server = server
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.open_streams: dict[int, tuple[dict[str, str], bytearray]] = {}
        self.flooded: set[int] = set()
        self._unsent: dict[int, bytes] = {}
        self._said_goodbye = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._server.connections += 1
        self._number = self._server.connections
        self._server.open_transports.add(transport)
        self.h2.initiate_connection()
        if self._server.max_streams is not None:
            self.h2.update_settings({3: self._server.max_streams})
        self.flush()

    def connection_lost(self, _: Exception | None) -> None:
        self.open_streams.clear()
        self._server.open_transports.discard(self.transport)

    def say_goodbye(self, last_stream_id: int) -> None:
        """Send GOAWAY; what still arrives is not read, and the client is left to close."""
        self._said_goodbye = True
        self.h2.close_connection(last_stream_id=last_stream_id)
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self._said_goodbye:
            return
        for event in self.h2.receive_data(data):
            self._handle(event)
        self.pump_floods()
        self.flush()

    def _handle(self, event: h2.events.Event) -> None:
        if self._said_goodbye:
            return
        if isinstance(event, h2.events.RequestReceived):
            headers = {_text(name): _text(value) for name, value in event.headers}
            self.open_streams[event.stream_id] = (headers, bytearray())
        elif isinstance(event, h2.events.DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self.open_streams[event.stream_id][1].extend(event.data)
        elif isinstance(event, h2.events.StreamEnded):
            headers, body = self.open_streams[event.stream_id]
            received = Received(self._number, headers[":path"], headers, bytes(body))
            self._server.requests.append(received)
            self._server.react(received)(Exchange(self._server, self, event.stream_id))
        elif isinstance(event, h2.events.StreamReset):
            self.open_streams.pop(event.stream_id, None)
            self.flooded.discard(event.stream_id)
            self._unsent.pop(event.stream_id, None)
            self._server.note_reset()

    def stream(self, stream_id: int, body: bytes) -> None:
        """Send a body as fast as the client's windows take it."""
        self._unsent[stream_id] = body
        self.pump_floods()

    def _send_more(self, stream_id: int) -> None:
        unsent = self._unsent.pop(stream_id)
        while unsent:
            window = self.h2.local_flow_control_window(stream_id)
            size = min(len(unsent), window, self.h2.max_outbound_frame_size)
            if size == 0:
                self._unsent[stream_id] = unsent
                return
            self.h2.send_data(stream_id, unsent[:size], end_stream=size == len(unsent))
            unsent = unsent[size:]

    def pump_floods(self) -> None:
        for stream_id in list(self._unsent):
            self._send_more(stream_id)
        for stream_id in list(self.flooded):
            window = self.h2.local_flow_control_window(stream_id)
            while window > 0:
                size = min(window, self.h2.max_outbound_frame_size)
                self.h2.send_data(stream_id, b"x" * size)
                window = self.h2.local_flow_control_window(stream_id)
        self.flush()

    def flush(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self.h2.data_to_send())


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


@dataclass
class FcmSocket:
    """The server, in a thread of its own, as a context manager; `react` may be replaced at any time."""

    tls: TlsFiles
    react: Callable[[Received], Reaction] = field(default=lambda _: accept)
    max_streams: int | None = None
    port: int = 0
    connections: int = 0
    requests: list[Received] = field(default_factory=list)
    open_transports: set[asyncio.Transport] = field(default_factory=set)
    _resets: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    @property
    def endpoint(self) -> str:
        return f"https://{LOOPBACK}:{self.port}"

    def note_reset(self) -> None:
        self._resets.release()

    def wait_for_reset(self, timeout_seconds: float = 10) -> bool:
        """Whether the client gave up a stream."""
        return self._resets.acquire(timeout=timeout_seconds)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.tls.certificate_file, self.tls.key_file)
        context.set_alpn_protocols(["h2"])
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: _Connection(self), LOOPBACK, self.port, ssl=context)

    async def _stop(self) -> None:
        self._server.close()
        for transport in list(self.open_transports):
            transport.abort()
        # Aborted TLS transports report their end in the next turns of the loop.
        while self.open_transports:
            await asyncio.sleep(0)
        await self._server.wait_closed()

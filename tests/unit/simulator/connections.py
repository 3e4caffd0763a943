"""A transport without a socket, and an HTTP/2 client on its other end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.settings import SettingCodes
from hyperframe.frame import GoAwayFrame

from simulator.fcm_simulator import FcmSimulator
from simulator.http2_connection import Http2Connection
from tests.unit.simulator.sends import PROJECT, make_message


async def let_timers_run() -> None:
    """Return when every timer of up to 10 ms has fired: a loop runs timers in the order of their times."""
    await asyncio.sleep(0.02)


class MemoryTransport(asyncio.Transport):
    """Keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.written = bytearray()
        self.closing = False
        self.aborted = False

    def write(self, data: Any) -> None:
        assert not self.closing, "written after the end"
        self.written += data

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def take(self) -> bytes:
        taken = bytes(self.written)
        self.written.clear()
        return taken


class Http2Client:
    """Speaks to one connection of the simulator; what came back for each stream is in its attributes."""

    def __init__(
        self,
        simulator: FcmSimulator,
        access_token: str,
        settings: dict[SettingCodes | int, int] | None = None,
    ) -> None:
        self.transport = MemoryTransport()
        self.connection = Http2Connection(simulator)
        self.http2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.statuses: dict[int, int] = {}
        self.bodies: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.goaway: tuple[int, int] | None = None
        self._access_token = access_token
        if settings:
            self.http2.local_settings.update(settings)
            self.http2.local_settings.acknowledge()
        self.http2.initiate_connection()
        self.connection.connection_made(self.transport)
        self.exchange()

    def open(self, *, path: str = f"/v1/projects/{PROJECT}/messages:send", method: str = "POST") -> int:
        """Begin a request; its headers are queued until the next exchange."""
        stream_id = self.http2.get_next_available_stream_id()
        headers = [
            (":method", method),
            (":path", path),
            (":scheme", "https"),
            (":authority", "127.0.0.1"),
            ("authorization", f"Bearer {self._access_token}"),
        ]
        self.http2.send_headers(stream_id, headers, end_stream=method == "GET")
        return stream_id

    def finish(self, stream_id: int, target: str = "phone-1") -> None:
        body = json.dumps({"message": make_message(token=target)}).encode()
        self.http2.send_data(stream_id, body, end_stream=True)

    def send(self, target: str = "phone-1") -> int:
        """Queue a whole message."""
        stream_id = self.open()
        self.finish(stream_id, target)
        return stream_id

    def exchange(self) -> None:
        """Hand over all that is queued at once, and read what comes back."""
        data = self.http2.data_to_send()
        if data:
            self.connection.data_received(data)
        self.read()

    def read(self) -> None:
        """Take in what the simulator wrote. h2 can do nothing more after a GOAWAY: that is kept from it."""
        written = self.transport.take()
        while written:
            end = 9 + int.from_bytes(written[:3])
            frame, written = written[:end], written[end:]
            if frame[3] == GoAwayFrame.type:
                assert self.goaway is None, "a second GOAWAY"
                self.goaway = (int.from_bytes(frame[13:17]), int.from_bytes(frame[9:13]))
                continue
            for event in self.http2.receive_data(frame):
                self._note(event)

    def _note(self, event: Event) -> None:
        if isinstance(event, ResponseReceived):
            headers: dict[Any, Any] = dict(event.headers)
            self.statuses[event.stream_id] = int(headers[":status"])
        elif isinstance(event, DataReceived):
            self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + bytes(event.data)
        elif isinstance(event, StreamEnded):
            self.ended.add(event.stream_id)
        elif isinstance(event, StreamReset):
            self.resets[event.stream_id] = int(event.error_code)

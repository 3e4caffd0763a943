"""One HTTP/2 connection, with full control over what becomes of its streams and of itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from simulator.exchange import MAX_BODY_BYTES, Answer, Effect, Request
from simulator.fcm_simulator import FcmSimulator

# What was observed of FCM's own servers.
MAX_CONCURRENT_STREAMS = 100
# Room for the bodies of all streams at once: HTTP/2's default of 65,535 bytes would hold up a sender's burst.
WINDOW_BYTES = 1_048_576
DEFAULT_WINDOW_BYTES = 65_535
DRIP_SECONDS = 1.0
# How long a client may take to leave after a GOAWAY; closing at once could destroy answers it has not read.
LINGER_SECONDS = 10.0

_CONFIG = H2Configuration(
    client_side=False,
    header_encoding="utf-8",
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


@dataclass(slots=True)
class _Stream:
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)
    timer: asyncio.TimerHandle | None = None
    unsent: bytes = b""

    def cancel(self) -> None:
        if self.timer is not None:
            self.timer.cancel()


class Http2Connection(asyncio.Protocol):
    """Answers each request when it is whole. Streams above the last one of a GOAWAY are never looked at."""

    def __init__(self, simulator: FcmSimulator) -> None:
        self._simulator = simulator
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._http2 = H2Connection(_CONFIG)
        self._http2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: MAX_CONCURRENT_STREAMS,
                SettingCodes.INITIAL_WINDOW_SIZE: WINDOW_BYTES,
            },
        )
        self._streams: dict[int, _Stream] = {}
        self._client = ""
        self._sends = 0
        self._highest_processed = 0
        self._last_stream_id: int | None = None
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._client = transport.get_extra_info("peername")[0]
        self._http2.initiate_connection()
        self._http2.increment_flow_control_window(WINDOW_BYTES - DEFAULT_WINDOW_BYTES)
        self._flush()

    def connection_lost(self, _error: Exception | None) -> None:
        for stream in self._streams.values():
            stream.cancel()
        self._streams.clear()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._pump_all()
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            events = self._http2.receive_data(data)
        except ProtocolError:
            if self._last_stream_id is None:
                self._flush()
            self._transport.close()
            return
        for event in events:
            if self._transport.is_closing():
                return
            self._handle(event)
        self._flush()

    def _handle(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            if self._last_stream_id is None or event.stream_id <= self._last_stream_id:
                self._streams[event.stream_id] = _Stream(dict(event.headers))  # type: ignore[arg-type]
        elif isinstance(event, DataReceived):
            self._http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            stream = self._streams.get(event.stream_id)
            if stream is not None and len(stream.body) <= MAX_BODY_BYTES:
                stream.body.extend(event.data)
        elif isinstance(event, StreamEnded):
            stream = self._streams.get(event.stream_id)
            if stream is not None:
                self._dispatch(event.stream_id, stream)
        elif isinstance(event, StreamReset):
            self._forget(event.stream_id)
        elif isinstance(event, WindowUpdated | RemoteSettingsChanged):
            self._pump_all()
        elif isinstance(event, ConnectionTerminated):
            self._transport.close()

    def _dispatch(self, stream_id: int, stream: _Stream) -> None:
        headers = stream.headers
        answer = self._simulator.answer(
            Request(headers[":method"], headers[":path"], headers, bytes(stream.body), "HTTP/2", self._client)
        )
        if answer.effect is Effect.GOAWAY_UNPROCESSED:
            if stream_id < self._highest_processed:
                # A GOAWAY cannot leave out a stream below one that was already processed.
                self._reset(stream_id, ErrorCodes.REFUSED_STREAM)
            self._go_away()
            return
        self._highest_processed = max(self._highest_processed, stream_id)
        if answer.effect is Effect.RESET:
            self._reset(stream_id, ErrorCodes.REFUSED_STREAM)
        elif answer.delay_seconds > 0:
            stream.timer = self._loop.call_later(answer.delay_seconds, self._deliver_late, stream_id, answer)
        else:
            self._deliver(stream_id, answer)
        self._sends += answer.is_send
        every = self._simulator.goaway.every
        if answer.effect is Effect.GOAWAY or (every and answer.is_send and self._sends >= every):
            self._go_away()

    def _deliver_late(self, stream_id: int, answer: Answer) -> None:
        if self._transport.is_closing():
            return
        self._deliver(stream_id, answer)
        self._flush()

    def _deliver(self, stream_id: int, answer: Answer) -> None:
        if answer.effect is Effect.HANG:
            return
        if answer.effect is Effect.LOST_RESPONSE:
            self._reset(stream_id, ErrorCodes.INTERNAL_ERROR)
            return
        if answer.effect is Effect.LOST_CONNECTION:
            self._transport.abort()
            return
        length = str(len(answer.body))
        headers = [(":status", str(answer.status)), *answer.headers, ("content-length", length)]
        self._http2.send_headers(stream_id, headers, end_stream=not answer.body)
        self._streams[stream_id].unsent = answer.body
        if answer.effect is Effect.DRIP:
            self._drip(stream_id)
        elif answer.body:
            self._pump(stream_id)
        else:
            self._forget(stream_id)

    def _drip(self, stream_id: int) -> None:
        if self._transport.is_closing():
            return
        stream = self._streams[stream_id]
        if self._http2.local_flow_control_window(stream_id) > 0:
            last = len(stream.unsent) == 1
            self._http2.send_data(stream_id, stream.unsent[:1], end_stream=last)
            stream.unsent = stream.unsent[1:]
            if last:
                self._forget(stream_id)
        if stream.unsent:
            stream.timer = self._loop.call_later(DRIP_SECONDS, self._drip, stream_id)
        self._flush()

    def _pump_all(self) -> None:
        for stream_id, stream in list(self._streams.items()):
            if stream.unsent and stream.timer is None:
                self._pump(stream_id)

    def _pump(self, stream_id: int) -> None:
        stream = self._streams[stream_id]
        stream.timer = None
        while stream.unsent and not self._paused:
            window = self._http2.local_flow_control_window(stream_id)
            size = min(len(stream.unsent), window, self._http2.max_outbound_frame_size)
            if size <= 0:
                return
            chunk, stream.unsent = stream.unsent[:size], stream.unsent[size:]
            self._http2.send_data(stream_id, chunk, end_stream=not stream.unsent)
        if not stream.unsent:
            self._forget(stream_id)

    def _reset(self, stream_id: int, code: ErrorCodes) -> None:
        self._http2.reset_stream(stream_id, code)
        self._forget(stream_id)

    def _forget(self, stream_id: int) -> None:
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            stream.cancel()
        self._leave_if_drained()

    def _go_away(self) -> None:
        # Not h2's close_connection: after it nothing can be sent, and streams under way are to be answered.
        if self._last_stream_id is not None:
            return
        self._flush()
        self._last_stream_id = self._highest_processed
        frame = GoAwayFrame(0, last_stream_id=self._last_stream_id, error_code=ErrorCodes.NO_ERROR)
        self._transport.write(frame.serialize())
        self._simulator.traffic.goaways += 1
        for stream_id in [one for one in self._streams if one > self._last_stream_id]:
            self._streams.pop(stream_id).cancel()
        self._leave_if_drained()

    def _leave_if_drained(self) -> None:
        if self._last_stream_id is not None and not self._streams:
            self._loop.call_later(LINGER_SECONDS, self._transport.close)

    def _flush(self) -> None:
        data = self._http2.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)

"""One HTTP/1.1 connection, for clients that do not speak HTTP/2, such as firebase-admin's send_each."""

from __future__ import annotations

import asyncio

import h11

from simulator.exchange import MAX_BODY_BYTES, Answer, Effect, Request
from simulator.fcm_simulator import FcmSimulator
from simulator.http2_connection import DRIP_SECONDS

# The closest that HTTP/1.1 has: a stream is the whole connection, a GOAWAY is `Connection: close`.
_DROPPED = frozenset({Effect.LOST_RESPONSE, Effect.LOST_CONNECTION, Effect.RESET, Effect.GOAWAY_UNPROCESSED})


class Http1Connection(asyncio.Protocol):
    """Answers one request after the other."""

    def __init__(self, simulator: FcmSimulator) -> None:
        self._simulator = simulator
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._http1 = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._client = ""
        self._sends = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._client = transport.get_extra_info("peername")[0]

    def connection_lost(self, _error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._http1.receive_data(data)
        self._advance()

    def _advance(self) -> None:
        while not self._transport.is_closing():
            try:
                event = self._http1.next_event()
            except h11.RemoteProtocolError:
                self._transport.close()
                return
            if isinstance(event, h11.Request):
                self._request, self._body = event, bytearray()
            elif isinstance(event, h11.Data):
                if len(self._body) <= MAX_BODY_BYTES:
                    self._body.extend(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self._dispatch()
            elif event is h11.NEED_DATA:
                if self._http1.they_are_waiting_for_100_continue:
                    self._send(h11.InformationalResponse(status_code=100, headers=[]))
                return
            else:
                if isinstance(event, h11.ConnectionClosed):
                    self._transport.close()
                return

    def _dispatch(self) -> None:
        assert self._request is not None
        headers = {name.decode(): value.decode("latin-1") for name, value in self._request.headers}
        method, path = self._request.method.decode(), self._request.target.decode("latin-1")
        answer = self._simulator.answer(
            Request(method, path, headers, bytes(self._body), "HTTP/1.1", self._client)
        )
        if answer.delay_seconds > 0:
            self._timer = self._loop.call_later(answer.delay_seconds, self._deliver_late, answer)
        else:
            self._deliver(answer)

    def _deliver_late(self, answer: Answer) -> None:
        self._deliver(answer)
        self._advance()

    def _deliver(self, answer: Answer) -> None:
        if answer.effect is Effect.HANG:
            return
        if answer.effect in _DROPPED:
            self._transport.abort()
            return
        self._sends += answer.is_send
        every = self._simulator.goaway.every
        headers = [*answer.headers, ("content-length", str(len(answer.body)))]
        if answer.effect is Effect.GOAWAY or (every and answer.is_send and self._sends >= every):
            self._simulator.traffic.goaways += 1
            headers.append(("connection", "close"))
        self._send(h11.Response(status_code=answer.status, headers=headers))
        if answer.effect is Effect.DRIP:
            self._drip(answer.body)
            return
        self._send(h11.Data(data=answer.body))
        self._finish()

    def _drip(self, unsent: bytes) -> None:
        self._send(h11.Data(data=unsent[:1]))
        if len(unsent) > 1:
            self._timer = self._loop.call_later(DRIP_SECONDS, self._drip, unsent[1:])
        else:
            self._finish()
            self._advance()

    def _finish(self) -> None:
        self._send(h11.EndOfMessage())
        if self._http1.our_state is h11.DONE and self._http1.their_state is h11.DONE:
            self._http1.start_next_cycle()
        else:
            self._transport.close()

    def _send(self, event: h11.Response | h11.InformationalResponse | h11.Data | h11.EndOfMessage) -> None:
        data = self._http1.send(event)
        if data and not self._transport.is_closing():
            self._transport.write(data)

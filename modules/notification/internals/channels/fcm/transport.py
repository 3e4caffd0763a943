"""Carries request bodies to FCM over HTTP/2: pooled, with a deadline, and never twice."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import firebase_admin
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import DetailedPyreqwestError, PyreqwestError, RequestTimeoutError
from pyreqwest.http import Url
from pyreqwest.response import Response

from modules.notification.internals.channels.fcm.answer import (
    FailureKind,
    FcmAnswer,
    FcmResponse,
    SendFailure,
)
from modules.notification.internals.channels.fcm.certificate_authority import read_authorities

# FCM's servers allow 100 concurrent streams a connection; more requests need more connections.
STREAMS_PER_CONNECTION = 100
# An answer of FCM is a few hundred bytes.
MAX_RESPONSE_BYTES = 65_536
POOL_IDLE_SECONDS = 60
# How much longer the event loop waits than the client, in case the client fails to keep its deadline.
BACKSTOP_SECONDS = 2.0

_HEADERS = {
    "content-type": "application/json",
    # As firebase-admin sends them (messaging.py).
    "x-goog-api-format-version": "2",
    "x-firebase-client": f"fire-admin-python/{firebase_admin.__version__}",
}
_DETAIL_LENGTH = 120
# hyper-util's name for an error before a connection existed. pyreqwest's own classes do not tell: it raises
# ConnectError for a reset, and ConnectTimeoutError for a missed deadline, after the request was written.
_NO_CONNECTION = "client error (Connect)"
# hyper-util's name for an error after that and before an answer began; an answer proves the stream was read.
_NO_ANSWER = "client error (SendRequest)"
_UNTRUSTED = "invalid peer certificate"
# h2's words for RST_STREAM with REFUSED_STREAM, and for a stream beyond the last that a GOAWAY without error
# names; its debug data may follow (h2 src/error.rs, src/proto/streams/streams.rs, `recv_go_away`). A "stream
# error" that is "not a result of an error" is another thing: the server may have read it (RFC 9113, 8.1).
_UNREAD = (
    "stream error received: refused stream before processing any application logic",
    "connection error received: not a result of an error",
)


@dataclass(slots=True)
class _Connection:
    client: Client
    in_flight: int = 0


class FcmTransport:
    """One app's connections. Lives on one event loop; at most `max_concurrent_requests` are under way.

    Nothing is repeated, except what the HTTP/2 client proves unread: streams the server refused, or left
    unprocessed when it went away (RFC 9113, 8.7). Redirects, cookies and proxy variables are ignored.
    Cancelling stops the waiting; pyreqwest lets what it was given run on until the deadline.
    Raises ProviderConfigurationError when `ca_file` cannot be used.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        ca_file: Path | None,
        connect_timeout_seconds: float,
        request_timeout_seconds: float,
        max_concurrent_requests: int,
    ) -> None:
        self._endpoint = endpoint
        self._backstop_seconds = request_timeout_seconds + BACKSTOP_SECONDS
        self._slots = asyncio.Semaphore(max_concurrent_requests)
        authorities = [] if ca_file is None else read_authorities(ca_file)
        self._connections = [
            _Connection(_build_client(authorities, connect_timeout_seconds, request_timeout_seconds))
            for _ in range(math.ceil(max_concurrent_requests / STREAMS_PER_CONNECTION))
        ]
        self._urls: dict[str, Url] = {}

    async def post(
        self, *, project_id: str, token: str, body: bytes, may_send: Callable[[], bool] = lambda: True
    ) -> FcmAnswer:
        """Send one body to messages:send, when there is room; the deadline runs from then on.

        `may_send` is asked when there is room. Never raises for what the network or the server does.
        """
        async with self._slots:
            if not may_send():
                return SendFailure(kind=FailureKind.CLAIM_LOST)
            connection = min(self._connections, key=lambda candidate: candidate.in_flight)
            connection.in_flight += 1
            started = time.perf_counter()
            try:
                return await self._exchange(connection.client, self._url(project_id), token, body, started)
            finally:
                connection.in_flight -= 1

    async def close(self) -> None:
        """Close every connection; what is under way ends as lost."""
        for connection in self._connections:
            await connection.client.close()

    def _url(self, project_id: str) -> Url:
        url = self._urls.get(project_id)
        if url is None:
            path = f"/v1/projects/{quote(project_id, safe='')}/messages:send"
            url = self._urls[project_id] = Url(self._endpoint + path)
        return url

    async def _exchange(self, client: Client, url: Url, token: str, body: bytes, started: float) -> FcmAnswer:
        try:
            async with (
                asyncio.timeout(self._backstop_seconds),
                client.post(url).bearer_auth(token).body_bytes(body).build_streamed() as response,
            ):
                return await _read(response, started)
        except PyreqwestError as error:
            kind, detail = _failure(error)
        except TimeoutError:
            kind, detail = FailureKind.TIMEOUT, "the client did not keep its deadline"
        return SendFailure(kind=kind, detail=detail, latency_ms=_milliseconds_since(started))


async def _read(response: Response, started: float) -> FcmAnswer:
    body = await response.body_reader.read(MAX_RESPONSE_BYTES + 1)
    if body is not None and len(body) > MAX_RESPONSE_BYTES:
        return SendFailure(kind=FailureKind.RESPONSE_TOO_LARGE, latency_ms=_milliseconds_since(started))
    return FcmResponse(
        status=response.status,
        # Copying headers costs as much as decoding the body; only errors are read for them.
        headers={} if response.status == 200 else dict(response.headers.items()),
        body=b"" if body is None else bytes(body),
        latency_ms=_milliseconds_since(started),
    )


def _build_client(
    authorities: list[bytes], connect_timeout_seconds: float, request_timeout_seconds: float
) -> Client:
    builder = (
        ClientBuilder()
        # Not negotiated: each of the first requests would open a connection until one has said h2.
        .http2_prior_knowledge()
        .default_headers(_HEADERS)
        .user_agent("notification-service")
        .connect_timeout(timedelta(seconds=connect_timeout_seconds))
        .timeout(timedelta(seconds=request_timeout_seconds))
        .pool_idle_timeout(timedelta(seconds=POOL_IDLE_SECONDS))
        # A path that went dead would otherwise time out request after request on the same connection.
        .http2_keep_alive_interval(timedelta(seconds=request_timeout_seconds / 2))
        .http2_keep_alive_timeout(timedelta(seconds=request_timeout_seconds / 2))
        .https_only(True)
        .no_proxy()
        .follow_redirects(False)
        .referer(False)
        # An answer is smaller than what compressing it would save.
        .gzip(False)
        .brotli(False)
        .zstd(False)
        .deflate(False)
    )
    for authority in authorities:
        builder = builder.add_root_certificate_pem(authority)
    return builder.build()


def _failure(error: PyreqwestError) -> tuple[FailureKind, str]:
    causes = _causes(error)
    detail = causes[-1][:_DETAIL_LENGTH] if causes else ""
    if _NO_CONNECTION in causes:
        untrusted = any(cause.startswith(_UNTRUSTED) for cause in causes)
        return (FailureKind.SERVER_UNTRUSTED if untrusted else FailureKind.CONNECT_FAILED), detail
    if _NO_ANSWER in causes and any(cause.startswith(_UNREAD) for cause in causes):
        return FailureKind.STREAM_REFUSED, ""
    if isinstance(error, RequestTimeoutError):
        return FailureKind.TIMEOUT, ""
    return FailureKind.CONNECTION_LOST, detail


def _causes(error: PyreqwestError) -> list[str]:
    causes = error.details.get("causes") if isinstance(error, DetailedPyreqwestError) else None
    return [cause["message"] for cause in causes or ()]


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000

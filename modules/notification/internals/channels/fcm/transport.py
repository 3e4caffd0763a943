"""Carries request bodies to FCM over HTTP/2: pooled, with a deadline, and never twice."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import firebase_admin
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.http import Url
from pyreqwest.response import Response

from modules.notification.internals.channels.fcm.access_token_source import Access
from modules.notification.internals.channels.fcm.answer import (
    FailureKind,
    FcmAnswer,
    FcmResponse,
    SendFailure,
)
from modules.notification.internals.channels.fcm.backstop import Backstop
from modules.notification.internals.channels.fcm.certificate_authority import read_authorities
from modules.notification.internals.channels.fcm.request_failure import failure_of

# FCM's servers allow 100 concurrent streams a connection; more requests need more connections.
STREAMS_PER_CONNECTION = 100
# An answer of FCM is a few hundred bytes.
MAX_RESPONSE_BYTES = 65_536
_FIRST_REFUSAL = 300
POOL_IDLE_SECONDS = 60
# How much longer the event loop waits than the client, in case the client fails to keep its deadline.
BACKSTOP_SECONDS = 2.0

_HEADERS = {
    "content-type": "application/json",
    # As firebase-admin sends them (messaging.py).
    "x-goog-api-format-version": "2",
    "x-firebase-client": f"fire-admin-python/{firebase_admin.__version__}",
}


@dataclass(slots=True)
class _Connection:
    client: Client
    in_flight: int = 0


class FcmTransport:
    """One app's connections, enough for `max_concurrent_requests` at once. Lives on one event loop.

    Nothing is repeated, except what the HTTP/2 client proves unread: streams the server refused, or left
    unprocessed when it went away (RFC 9113, 8.7), twice at most. Redirects, cookies and proxy variables are
    ignored.
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
        backstop_seconds: float = BACKSTOP_SECONDS,
    ) -> None:
        self._endpoint = endpoint
        self._backstop = Backstop(request_timeout_seconds + backstop_seconds)
        authorities = [] if ca_file is None else read_authorities(ca_file)
        self._connections = [
            _Connection(_build_client(authorities, connect_timeout_seconds, request_timeout_seconds))
            for _ in range(math.ceil(max_concurrent_requests / STREAMS_PER_CONNECTION))
        ]
        self._urls: dict[str, Url] = {}

    async def post(self, *, body: bytes, access: Access) -> FcmAnswer:
        """Send one body to messages:send; the deadline runs from now on.

        Never raises for what the network or the server does.
        """
        connection = min(self._connections, key=_in_flight)
        started = time.perf_counter()
        refused: FcmResponse | None = None
        connection.in_flight += 1
        task = self._backstop.begin()
        try:
            async with (
                connection.client.post(self._url(access.project_id))
                .bearer_auth(access.token)
                .body_bytes(body)
                # A response is one when its headers are here: a body read ahead could keep them from us.
                .streamed_read_buffer_limit(0)
                .build_streamed() as response
            ):
                if response.status >= _FIRST_REFUSAL:
                    refused = _head(response, started)
                return await _read(response, refused, started)
        except PyreqwestError as error:
            kind, detail = failure_of(error)
        except asyncio.CancelledError:
            if not self._backstop.has_cancelled(task):
                raise
            kind, detail = FailureKind.TIMEOUT, "the client did not keep its deadline"
        finally:
            self._backstop.end(task)
            connection.in_flight -= 1
        # Whatever became of its body: the status has said that the message was not taken.
        return refused or SendFailure(kind=kind, detail=detail, latency_ms=_milliseconds_since(started))

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


def _in_flight(connection: _Connection) -> int:
    return connection.in_flight


def _head(response: Response, started: float) -> FcmResponse:
    return FcmResponse(
        status=response.status,
        headers=dict(response.headers.items()),
        latency_ms=_milliseconds_since(started),
    )


async def _read(response: Response, refused: FcmResponse | None, started: float) -> FcmAnswer:
    read = await response.body_reader.read(MAX_RESPONSE_BYTES + 1)
    body = b"" if read is None else bytes(read)
    if refused is not None:
        # Part of a document is none.
        return refused if len(body) > MAX_RESPONSE_BYTES else replace(refused, body=body)
    if len(body) > MAX_RESPONSE_BYTES:
        return SendFailure(kind=FailureKind.RESPONSE_TOO_LARGE, latency_ms=_milliseconds_since(started))
    # Copying headers costs as much as decoding the body; only refusals are read for them.
    return FcmResponse(status=response.status, body=body, latency_ms=_milliseconds_since(started))


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


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000

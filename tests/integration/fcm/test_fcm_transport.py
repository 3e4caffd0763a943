"""How the transport behaves when a real HTTP/2 server does what servers do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modules.notification.errors import ProviderConfigurationError
from modules.notification.internals.channels.fcm.answer import FailureKind, FcmResponse, SendFailure
from modules.notification.internals.channels.fcm.transport import MAX_RESPONSE_BYTES
from tests.integration.fcm.conftest import BODY, MakeTransport, failure_kind, granted, post
from tests.support.fcm_files import LOOPBACK, TlsFiles, write_tls_files
from tests.support.fcm_socket import (
    ACCEPTED_NAME,
    Exchange,
    FcmSocket,
    Reaction,
    Received,
    accept,
    answering,
    dribble,
    flood,
    silence,
    silent_after,
)
from tests.support.tcp_relay import TcpRelay


@pytest.fixture
def silent_listener() -> Iterator[str]:
    """Accepts TCP connections and never says a word."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        yield f"https://{LOOPBACK}:{listener.getsockname()[1]}"


async def test_a_request_looks_like_one_of_firebase_admin(
    fcm: FcmSocket, make_transport: MakeTransport
) -> None:
    answer = await post(make_transport())
    assert isinstance(answer, FcmResponse)
    assert (answer.status, answer.body) == (200, f'{{"name": "{ACCEPTED_NAME}"}}'.encode())
    assert answer.latency_ms > 0
    [request] = fcm.requests
    assert request.path == "/v1/projects/demo-project/messages:send"
    assert request.body == BODY
    assert request.headers[":method"] == "POST"
    assert request.headers["authorization"] == "Bearer secret-token"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-goog-api-format-version"] == "2"
    assert request.headers["x-firebase-client"].startswith("fire-admin-python/")
    assert "accept-encoding" not in request.headers
    assert "cookie" not in request.headers


async def test_the_project_cannot_break_out_of_the_path(
    fcm: FcmSocket, make_transport: MakeTransport
) -> None:
    await make_transport().post(body=BODY, access=granted(project_id="a/b?c"))
    assert fcm.requests[0].path == "/v1/projects/a%2Fb%3Fc/messages:send"


@pytest.mark.parametrize("status", [301, 307, 400, 404, 429, 500, 503])
async def test_no_status_is_retried_or_followed(
    status: int, fcm: FcmSocket, make_transport: MakeTransport
) -> None:
    fcm.react = lambda _: answering(status, b"{}", {"location": "/elsewhere", "retry-after": "1"})
    answer = await post(make_transport())
    assert isinstance(answer, FcmResponse)
    assert (answer.status, answer.body, answer.headers["retry-after"]) == (status, b"{}", "1")
    assert len(fcm.requests) == 1


async def test_a_silent_server_meets_the_deadline(fcm: FcmSocket, make_transport: MakeTransport) -> None:
    fcm.react = lambda _: silence
    answer = await post(make_transport(request_timeout_seconds=0.3))
    assert failure_kind(answer) is FailureKind.TIMEOUT
    assert 300 <= answer.latency_ms < 2000
    assert fcm.wait_for_reset(), "the stream is given up"


async def test_a_dribbling_server_meets_the_deadline(fcm: FcmSocket, make_transport: MakeTransport) -> None:
    fcm.react = lambda _: dribble
    answer = await post(make_transport(request_timeout_seconds=0.3))
    assert failure_kind(answer) is FailureKind.TIMEOUT
    assert answer.latency_ms < 2000


async def test_an_endless_answer_is_cut_off(fcm: FcmSocket, make_transport: MakeTransport) -> None:
    fcm.react = lambda _: flood
    answer = await post(make_transport())
    assert failure_kind(answer) is FailureKind.RESPONSE_TOO_LARGE
    assert fcm.wait_for_reset(), "the stream is given up"


async def test_an_answer_of_the_largest_size_is_taken(fcm: FcmSocket, make_transport: MakeTransport) -> None:
    def react(exchange: Exchange) -> None:
        exchange.h2.send_headers(exchange.stream_id, [(":status", "200")])
        for _ in range(4):
            exchange.h2.send_data(exchange.stream_id, b"x" * 16_000)
        exchange.h2.send_data(exchange.stream_id, b"x" * (MAX_RESPONSE_BYTES - 64_001), end_stream=True)
        exchange.flush()

    fcm.react = lambda _: react
    answer = await post(make_transport())
    assert isinstance(answer, FcmResponse)
    assert len(answer.body) == MAX_RESPONSE_BYTES - 1


async def test_a_refused_connection_was_not_sent(make_transport: MakeTransport) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
    answer = await post(make_transport(endpoint=f"https://{LOOPBACK}:{port}"))
    assert failure_kind(answer) is FailureKind.CONNECT_FAILED
    assert isinstance(answer, SendFailure)
    assert "refused" in answer.detail


async def test_a_handshake_that_never_ends_was_not_sent(
    silent_listener: str, make_transport: MakeTransport
) -> None:
    answer = await post(make_transport(endpoint=silent_listener, connect_timeout_seconds=0.2))
    assert failure_kind(answer) is FailureKind.CONNECT_FAILED
    assert answer.latency_ms < 5000


async def test_a_server_nobody_vouches_for_is_not_sent_to(
    fcm: FcmSocket, make_transport: MakeTransport
) -> None:
    assert failure_kind(await post(make_transport(ca_file=None))) is FailureKind.SERVER_UNTRUSTED
    assert fcm.requests == []


async def test_every_authority_of_a_bundle_is_trusted(
    fcm: FcmSocket, tls: TlsFiles, tmp_path: Path, make_transport: MakeTransport
) -> None:
    others = [write_tls_files(tmp_path / str(number)).ca_file.read_bytes() for number in range(2)]
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(others[0] + tls.ca_file.read_bytes() + others[1])
    assert isinstance(await post(make_transport(ca_file=bundle)), FcmResponse)


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
async def test_a_file_without_authorities_is_refused(
    content: bytes, tmp_path: Path, make_transport: MakeTransport
) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(content)
    with pytest.raises(ProviderConfigurationError) as refused:
        make_transport(ca_file=ca_file)
    assert (refused.value.code, refused.value.field) == ("fcm_ca_file_invalid", "fcm.ca_file")


async def test_proxies_of_the_environment_are_not_used(
    fcm: FcmSocket, make_transport: MakeTransport, silent_listener: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, silent_listener.replace("https", "http"))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert isinstance(await post(make_transport(request_timeout_seconds=2.0)), FcmResponse)


async def test_a_burst_shares_one_connection(fcm: FcmSocket, make_transport: MakeTransport) -> None:
    transport = make_transport()
    answers = await asyncio.gather(*(post(transport) for _ in range(100)))
    assert all(isinstance(answer, FcmResponse) for answer in answers)
    assert fcm.connections == 1


async def test_more_than_a_connection_carries_is_spread_over_several(
    fcm: FcmSocket, make_transport: MakeTransport
) -> None:
    waiting: list[Exchange] = []

    def react(_: Received) -> Reaction:
        def hold(exchange: Exchange) -> None:
            waiting.append(exchange)
            if len(waiting) == 250:
                for held in waiting:
                    accept(held)

        return hold

    fcm.react, fcm.max_streams = react, 100
    transport = make_transport(max_concurrent_requests=250)
    answers = await asyncio.gather(*(post(transport) for _ in range(250)))
    assert all(isinstance(answer, FcmResponse) for answer in answers), "all 250 were under way at once"
    assert fcm.connections == 3


async def test_a_dead_path_is_left_for_a_new_connection(
    fcm: FcmSocket, tls: TlsFiles, make_transport: MakeTransport
) -> None:
    with TcpRelay(fcm.port) as relay:
        transport = make_transport(endpoint=f"https://{LOOPBACK}:{relay.port}", request_timeout_seconds=0.5)
        assert isinstance(await post(transport), FcmResponse)
        relay.go_dead()
        assert isinstance(await post(transport), SendFailure)
        answer = await post(transport)
        if isinstance(answer, SendFailure):
            answer = await post(transport)
        assert isinstance(answer, FcmResponse), "at most one more request was lost on the dead connection"


async def test_closing_ends_what_is_under_way_as_lost(fcm: FcmSocket, make_transport: MakeTransport) -> None:
    arrived = asyncio.Event()
    fcm.react = silent_after(arrived)
    transport = make_transport()
    sending = asyncio.create_task(post(transport))
    await arrived.wait()
    await transport.close()
    assert failure_kind(await sending) is FailureKind.CONNECTION_LOST


async def test_a_client_that_does_not_keep_its_deadline_is_not_waited_for(
    fcm: FcmSocket, make_transport: MakeTransport
) -> None:
    fcm.react = lambda _: silence
    answer = await post(make_transport(request_timeout_seconds=60.0, backstop_seconds=-59.9))
    assert isinstance(answer, SendFailure)
    said = replace(answer, latency_ms=0)
    assert said == SendFailure(kind=FailureKind.TIMEOUT, detail="the client did not keep its deadline")

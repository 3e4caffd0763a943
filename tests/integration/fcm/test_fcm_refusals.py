"""A refusal is read by its status and headers, whatever becomes of its body."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from h2.errors import ErrorCodes

from modules.notification.internals.channels.fcm.answer import FailureKind, FcmResponse
from modules.notification.types import Outcome, ThrottleScope
from tests.integration.fcm.conftest import MakeService, MakeTransport, failure_kind, outcomes, post
from tests.support.fcm_errors import fcm_error
from tests.support.fcm_factories import make_payload, make_targets
from tests.support.fcm_socket import Exchange, FcmSocket, Reaction, answering

LARGE_PAGE = b"<html><body>" + b"<p>too many requests</p>" * 20_000
ABOUT_THE_SERVER = [(b"server", b"a proxy"), (b"retry-after", b"7200")]


def streaming(status: int, body: bytes) -> Reaction:
    """Answer with a body of any size, as fast as the client's windows take it."""

    def react(exchange: Exchange) -> None:
        exchange.h2.send_headers(exchange.stream_id, [(":status", str(status)), *ABOUT_THE_SERVER])
        exchange.protocol.stream(exchange.stream_id, body)

    return react


def begun(status: int) -> Reaction:
    """Send the headers and a first byte, and never the rest."""

    def react(exchange: Exchange) -> None:
        exchange.h2.send_headers(exchange.stream_id, [(":status", str(status)), *ABOUT_THE_SERVER])
        exchange.h2.send_data(exchange.stream_id, b"{")
        exchange.flush()

    return react


def broken_off(status: int) -> Reaction:
    """Send the headers and a first byte, then reset the stream."""

    def react(exchange: Exchange) -> None:
        begun(status)(exchange)
        exchange.h2.reset_stream(exchange.stream_id, ErrorCodes.INTERNAL_ERROR)
        exchange.flush()

    return react


@pytest.mark.parametrize("status", [307, 401, 403, 404, 429, 500, 503])
async def test_a_page_of_any_size_leaves_status_and_headers(
    status: int, fcm: FcmSocket, make_transport: MakeTransport
) -> None:
    fcm.react = lambda _: streaming(status, LARGE_PAGE)
    answer = await post(make_transport())
    assert isinstance(answer, FcmResponse)
    assert (answer.status, answer.headers["retry-after"], answer.body) == (status, "7200", b"")


@pytest.mark.parametrize("reaction", [begun, broken_off])
@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
async def test_a_refusal_whose_body_never_ends_is_a_refusal(
    status: int, reaction: Callable[[int], Reaction], fcm: FcmSocket, make_transport: MakeTransport
) -> None:
    fcm.react = lambda _: reaction(status)
    answer = await post(make_transport(request_timeout_seconds=0.3))
    assert isinstance(answer, FcmResponse)
    assert (answer.status, answer.headers["retry-after"], answer.body) == (status, "7200", b"")


@pytest.mark.parametrize(
    ("reaction", "kind"),
    [
        (streaming(200, LARGE_PAGE), FailureKind.RESPONSE_TOO_LARGE),
        (begun(200), FailureKind.TIMEOUT),
        (broken_off(200), FailureKind.CONNECTION_LOST),
    ],
)
async def test_a_success_that_cannot_be_read_stays_unknown(
    reaction: Reaction, kind: FailureKind, fcm: FcmSocket, make_transport: MakeTransport
) -> None:
    fcm.react = lambda _: reaction
    assert failure_kind(await post(make_transport(request_timeout_seconds=0.3))) is kind


@pytest.mark.parametrize(
    "body", [LARGE_PAGE, b"\xff\xfe\x00" * 100, json.dumps(fcm_error(503, "UNAVAILABLE")).encode()]
)
async def test_a_429_pauses_the_project_for_as_long_as_it_says(
    body: bytes, fcm: FcmSocket, make_service: MakeService
) -> None:
    fcm.react = lambda _: streaming(429, body)
    result = await make_service(max_concurrent_requests=1).send_push(make_targets(5), make_payload())
    assert outcomes(result.results) == [Outcome.THROTTLED] * 5
    first = result.results[0].classification
    assert (first.code, first.scope, first.retry_after_seconds) == ("HTTP_429", ThrottleScope.PROJECT, 7200)
    assert len(fcm.requests) == 1, "the others wait"


async def test_a_small_answer_keeps_its_body(fcm: FcmSocket, make_transport: MakeTransport) -> None:
    fcm.react = lambda _: answering(404, fcm_error(404, "NOT_FOUND", "UNREGISTERED"))
    answer = await post(make_transport())
    assert isinstance(answer, FcmResponse)
    assert b"UNREGISTERED" in answer.body

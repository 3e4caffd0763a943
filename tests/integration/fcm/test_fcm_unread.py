"""What a server may have read is sent once; only what it says it left unread is sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from h2.errors import ErrorCodes

from modules.notification.internals.channels.fcm.answer import FailureKind, FcmResponse
from tests.integration.fcm.conftest import MakeTransport, failure_kind, post
from tests.support.fcm_socket import (
    Exchange,
    FcmSocket,
    Reaction,
    Received,
    abort,
    accept,
    cut_short,
    go_away,
    go_away_and_abort,
    reset,
)

LARGEST_STREAM_ID = 2**31 - 1


def go_away_twice(*, processed: bool) -> Reaction:
    """Say goodbye in the two steps of RFC 9113, 6.8, naming this stream as processed or not, and close."""

    def react(exchange: Exchange) -> None:
        exchange.protocol.say_goodbye(LARGEST_STREAM_ID)
        go_away(processed=processed)(exchange)

    return react


def go_away_saying_why(exchange: Exchange) -> None:
    """Leave this stream unread and add debug data, as Google's front ends do."""
    exchange.h2.close_connection(last_stream_id=0, additional_data=b"session_timed_out")
    exchange.flush()
    exchange.protocol.transport.close()


def begin_and_reset(code: ErrorCodes) -> Reaction:
    """Begin an answer and reset the stream in its middle."""

    def react(exchange: Exchange) -> None:
        exchange.h2.send_headers(exchange.stream_id, [(":status", "200")])
        exchange.h2.send_data(exchange.stream_id, b'{"na')
        exchange.flush()
        reset(code)(exchange)

    return react


UNREAD = [
    reset(ErrorCodes.REFUSED_STREAM),
    go_away(processed=False),
    go_away_twice(processed=False),
    go_away_saying_why,
]


def first_then_accept(reaction: Reaction) -> Callable[[Received], Reaction]:
    """The first request meets the reaction, all later ones are accepted."""
    reactions = [reaction]
    return lambda _: reactions.pop() if reactions else accept


@pytest.mark.parametrize(
    ("reaction", "kind"),
    [
        (abort, FailureKind.CONNECTION_LOST),
        (cut_short, FailureKind.CONNECTION_LOST),
        (go_away(processed=True), FailureKind.CONNECTION_LOST),
        (go_away_and_abort, FailureKind.CONNECTION_LOST),
        (go_away_twice(processed=True), FailureKind.CONNECTION_LOST),
        (begin_and_reset(ErrorCodes.REFUSED_STREAM), FailureKind.CONNECTION_LOST),
        (reset(ErrorCodes.NO_ERROR), FailureKind.CONNECTION_LOST),
        (reset(ErrorCodes.INTERNAL_ERROR), FailureKind.CONNECTION_LOST),
        (reset(ErrorCodes.CANCEL), FailureKind.CONNECTION_LOST),
        (reset(ErrorCodes.ENHANCE_YOUR_CALM), FailureKind.CONNECTION_LOST),
    ],
)
async def test_what_may_have_been_taken_is_lost_and_not_repeated(
    reaction: Reaction, kind: FailureKind, fcm: FcmSocket, make_transport: MakeTransport
) -> None:
    fcm.react = first_then_accept(reaction)
    transport = make_transport()
    assert failure_kind(await post(transport)) is kind
    assert len(fcm.requests) == 1
    assert isinstance(await post(transport), FcmResponse), "the next request gets through"


@pytest.mark.parametrize("reaction", UNREAD)
async def test_only_what_the_server_left_unread_is_sent_again(
    reaction: Reaction, fcm: FcmSocket, make_transport: MakeTransport
) -> None:
    fcm.react = first_then_accept(reaction)
    answer = await post(make_transport())
    assert isinstance(answer, FcmResponse)
    assert answer.status == 200
    assert len(fcm.requests) == 2


@pytest.mark.parametrize("reaction", UNREAD)
async def test_what_is_left_unread_again_and_again_was_not_sent(
    reaction: Reaction, fcm: FcmSocket, make_transport: MakeTransport
) -> None:
    fcm.react = lambda _: reaction
    assert failure_kind(await post(make_transport())) is FailureKind.STREAM_REFUSED


async def test_a_goaway_in_the_middle_of_a_batch_sends_each_message_once(
    fcm: FcmSocket, make_transport: MakeTransport
) -> None:
    accepted: list[str] = []

    def react(received: Received) -> Reaction:
        def answer(exchange: Exchange) -> None:
            accepted.append(received.address)
            accept(exchange)
            if exchange.stream_id == 99:
                exchange.protocol.say_goodbye(exchange.stream_id)

        return answer

    fcm.react = react
    transport = make_transport(max_concurrent_requests=40)
    bodies = [b'{"message":{"token":"%d"}}' % number for number in range(400)]
    answers = await asyncio.gather(*(transport.post(project_id="p", token="t", body=body) for body in bodies))
    assert all(isinstance(answer, FcmResponse) for answer in answers)
    assert sorted(accepted, key=int) == [str(number) for number in range(400)]
    assert fcm.connections == 8

"""What a server may have read is sent once; only what it says it left unread is sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from h2.errors import ErrorCodes

from modules.notification.internals.channels.fcm.answer import FailureKind, FcmAnswer, FcmResponse
from modules.notification.internals.channels.fcm.transport import FcmTransport
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


def go_away_for(code: ErrorCodes, *, processed: bool) -> Reaction:
    """Go away with an error, naming this stream as processed or not."""

    def react(exchange: Exchange) -> None:
        last = exchange.stream_id if processed else max(exchange.stream_id - 2, 0)
        exchange.h2.close_connection(code, last_stream_id=last, additional_data=b"too_many_pings")
        exchange.flush()
        exchange.protocol.transport.close()

    return react


def begin_and_reset(code: ErrorCodes) -> Reaction:
    """Begin an answer and reset the stream in its middle."""

    def react(exchange: Exchange) -> None:
        exchange.h2.send_headers(exchange.stream_id, [(":status", "200")])
        exchange.h2.send_data(exchange.stream_id, b'{"na')
        exchange.flush()
        reset(code)(exchange)

    return react


async def send_to(
    transport: FcmTransport, addresses: Sequence[str], *, at_once: int = 100
) -> list[FcmAnswer]:
    free = asyncio.Semaphore(at_once)

    async def send(address: str) -> FcmAnswer:
        async with free:
            return await post(transport, b'{"message":{"token":"%s"}}' % address.encode())

    return await asyncio.gather(*(send(address) for address in addresses))


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
        (go_away_for(ErrorCodes.ENHANCE_YOUR_CALM, processed=True), FailureKind.CONNECTION_LOST),
        (go_away_for(ErrorCodes.INTERNAL_ERROR, processed=True), FailureKind.CONNECTION_LOST),
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


@pytest.mark.parametrize("code", [ErrorCodes.ENHANCE_YOUR_CALM, ErrorCodes.INTERNAL_ERROR])
async def test_a_goaway_leaves_streams_unread_whatever_its_reason(
    code: ErrorCodes, fcm: FcmSocket, make_transport: MakeTransport
) -> None:
    fcm.react = first_then_accept(go_away_for(code, processed=False))
    transport = make_transport()
    assert failure_kind(await post(transport)) is FailureKind.STREAM_REFUSED
    assert isinstance(await post(transport), FcmResponse), "the next request gets through"


@pytest.mark.parametrize("max_streams", [None, 5, 60])
async def test_whatever_the_server_never_saw_is_known_to_be_unread(
    max_streams: int | None, fcm: FcmSocket, make_transport: MakeTransport
) -> None:
    """Also what waited for the server to allow one more stream when it went away."""
    fcm.max_streams = max_streams

    def react(_: Received) -> Reaction:
        def answer(exchange: Exchange) -> None:
            accept(exchange)
            if exchange.stream_id >= 13:
                exchange.protocol.say_goodbye(exchange.stream_id)

        return answer

    fcm.react = react
    transport = make_transport()
    unread: set[str] = set()
    for number in range(10):
        addresses = [f"{number}-{place}" for place in range(300)]
        answers = await send_to(transport, addresses)
        read = {received.address for received in fcm.requests}
        for address, answer in zip(addresses, answers, strict=True):
            if address in read:
                assert isinstance(answer, FcmResponse), answer
            else:
                assert failure_kind(answer) is FailureKind.STREAM_REFUSED, answer
                unread.add(address)
    assert len(unread) > 1000


@pytest.mark.parametrize("end", ["close", "abort", "goaway"])
@pytest.mark.parametrize("max_streams", [None, 5])
async def test_nothing_a_server_read_before_it_closed_is_counted_unread(
    end: str, max_streams: int | None, fcm: FcmSocket, make_transport: MakeTransport
) -> None:
    """It answers nothing: of whom it read nobody can know."""
    fcm.max_streams = max_streams

    def close(exchange: Exchange) -> None:
        if end == "goaway":
            exchange.protocol.say_goodbye(LARGEST_STREAM_ID)
        if end == "abort":
            exchange.protocol.transport.abort()
        else:
            exchange.protocol.transport.close()

    def close_soon(exchange: Exchange) -> None:
        asyncio.get_running_loop().call_later(0.002, close, exchange)

    fcm.react = lambda _: close_soon
    transport = make_transport()
    lost = 0
    for number in range(10):
        addresses = [f"{number}-{place}" for place in range(100)]
        answers = await send_to(transport, addresses)
        read = {received.address for received in fcm.requests}
        for address, answer in zip(addresses, answers, strict=True):
            if address in read:
                assert failure_kind(answer) is FailureKind.CONNECTION_LOST
                lost += 1
    assert lost > 10


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
    answers = await send_to(transport, [str(number) for number in range(400)], at_once=40)
    assert all(isinstance(answer, FcmResponse) for answer in answers)
    assert sorted(accepted, key=int) == [str(number) for number in range(400)]
    assert fcm.connections == 8

"""How many requests are under way at once, and what a cancelled send gives back."""

from __future__ import annotations

import asyncio

import pytest

from modules.notification.types import Outcome
from tests.integration.fcm.conftest import MakeService, outcomes
from tests.support.fcm_factories import make_payload, make_target, make_targets
from tests.support.fcm_socket import (
    Exchange,
    FcmSocket,
    Reaction,
    Received,
    accept,
    silent_after,
)


async def test_the_bound_on_requests_holds_across_sends(fcm: FcmSocket, make_service: MakeService) -> None:
    under_way = 0
    most = 0

    def react(_: Received) -> Reaction:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)

        def answer_later(exchange: object) -> None:
            def answer() -> None:
                nonlocal under_way
                under_way -= 1
                accept(exchange)  # type: ignore[arg-type]

            asyncio.get_running_loop().call_soon(answer)

        return answer_later

    fcm.react = react
    service = make_service(max_concurrent_requests=3)
    results = await asyncio.gather(*(service.send_push(make_targets(5), make_payload()) for _ in range(8)))
    assert sum(len(result.accepted) for result in results) == 40
    assert most <= 3


async def test_no_more_than_allowed_are_under_way(fcm: FcmSocket, make_service: MakeService) -> None:
    under_way: list[Exchange] = []
    most = 0

    def answer_all() -> None:
        while under_way:
            accept(under_way.pop())

    def hold(exchange: Exchange) -> None:
        nonlocal most
        under_way.append(exchange)
        most = max(most, len(under_way))
        if len(under_way) == 7:
            # Time for an eighth to arrive, were it let through.
            asyncio.get_running_loop().call_later(0.03, answer_all)

    fcm.react = lambda _: hold
    service = make_service(max_concurrent_requests=7)
    await asyncio.gather(*(service.send_push(make_targets(35), make_payload()) for _ in range(2)))
    assert (most, len(fcm.requests)) == (7, 70)


async def test_a_cancelled_request_frees_its_place_at_once_and_ends_by_its_deadline(
    fcm: FcmSocket, make_service: MakeService
) -> None:
    arrived = asyncio.Event()
    fcm.react = silent_after(arrived)
    service = make_service(max_concurrent_requests=1, request_timeout_seconds=1.0)
    sending = asyncio.create_task(service.send_push(make_targets(1), make_payload()))
    await arrived.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    fcm.react = lambda _: accept
    result = await service.send_push(make_targets(1), make_payload())
    assert outcomes(result.results) == [Outcome.ACCEPTED]
    assert result.results[0].latency_ms < 900
    assert await asyncio.to_thread(fcm.wait_for_reset)


async def test_urgent_traffic_has_an_instance_of_its_own(fcm: FcmSocket, make_service: MakeService) -> None:
    stuck = asyncio.Event()
    unanswered = silent_after(stuck)
    fcm.react = lambda received: accept if received.address == "urgent" else unanswered(received)
    bulk, urgent = make_service(max_concurrent_requests=1), make_service(max_concurrent_requests=1)
    sending = asyncio.create_task(bulk.send_push(make_targets(3), make_payload()))
    await stuck.wait()
    result = await urgent.send_push([make_target(address="urgent")], make_payload(immediate=True))
    assert outcomes(result.results) == [Outcome.ACCEPTED]
    assert not sending.done()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending


async def test_a_cancelled_send_leaves_nothing_running(fcm: FcmSocket, make_service: MakeService) -> None:
    arrived = asyncio.Event()
    fcm.react = silent_after(arrived)
    before = asyncio.all_tasks()
    service = make_service(max_concurrent_requests=4)
    sending = asyncio.create_task(service.send_push(make_targets(20), make_payload()))
    await arrived.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert asyncio.all_tasks() == before
    assert len(fcm.requests) <= 4
    fcm.react = lambda _: accept
    result = await service.send_push(make_targets(8), make_payload())
    assert len(result.accepted) == 8, "every place is free again"

"""What a client sees when streams and connections are lost, refused or sent away."""

from __future__ import annotations

import asyncio

import pytest
from pyreqwest.exceptions import PyreqwestError, RequestTimeoutError

from simulator.exchange import Effect
from tests.integration.simulator.processes import FcmClient, RunningSimulator, make_http_client


def accepted_since(simulator: RunningSimulator, since: int) -> list[str]:
    return [entry["target"] for entry in simulator.control.audit(since)]


def causes_of(error: pytest.ExceptionInfo[PyreqwestError]) -> str:
    return str(getattr(error.value, "details", ""))


@pytest.mark.parametrize("http2", [True, False])
@pytest.mark.parametrize("effect", ["lost-response", "lost-connection"])
async def test_a_lost_answer_leaves_the_message_accepted_once(
    h2_simulator: RunningSimulator, h2_fcm: FcmClient, effect: str, http2: bool
) -> None:
    since = h2_simulator.control.position()
    async with make_http_client(h2_simulator, http2=http2) as client:
        fcm = FcmClient(h2_simulator, client)
        fcm.access_token = h2_fcm.access_token
        with pytest.raises(PyreqwestError) as lost:
            await fcm.send(f"sim-{effect}-1")
        assert not isinstance(lost.value, RequestTimeoutError)
        assert (await fcm.send("phone-1")).status == 200
    assert accepted_since(h2_simulator, since) == [f"sim-{effect}-1", "phone-1"]


async def test_lost_response_harms_no_other_stream(h2_simulator: RunningSimulator, h2_fcm: FcmClient) -> None:
    since, before = h2_simulator.control.position(), h2_simulator.control.stats()["connections"]["HTTP/2"]
    targets = [
        f"sim-lost-response-{number}" if number % 10 == 0 else f"phone-{number}" for number in range(200)
    ]
    results = await asyncio.gather(*map(h2_fcm.send, targets), return_exceptions=True)
    lost = [target for target, result in zip(targets, results, strict=True) if isinstance(result, Exception)]
    assert lost == [target for target in targets if target.startswith("sim")]
    assert sorted(accepted_since(h2_simulator, since)) == sorted(targets)
    assert h2_simulator.control.stats()["connections"]["HTTP/2"] == before


async def test_a_refused_stream_is_not_accepted_and_can_be_sent_again(
    h2_simulator: RunningSimulator, h2_fcm: FcmClient
) -> None:
    since = h2_simulator.control.position()
    with pytest.raises(PyreqwestError) as refused:
        await h2_fcm.send("sim-reset-1")
    assert "refused stream before processing" in causes_of(refused)
    assert accepted_since(h2_simulator, since) == []
    # The client itself repeats what it knows to be unprocessed.
    assert (await h2_fcm.send("sim-reset*1-2")).status == 200
    assert accepted_since(h2_simulator, since) == ["sim-reset*1-2"]


async def test_goaway_ends_the_connection_after_its_answer(
    h2_simulator: RunningSimulator, h2_fcm: FcmClient
) -> None:
    since, before = h2_simulator.control.position(), h2_simulator.control.stats()
    assert (await h2_fcm.send("sim-goaway-1")).status == 200
    assert (await h2_fcm.send("phone-1")).status == 200
    after = h2_simulator.control.stats()
    assert after["goaways"] == before["goaways"] + 1
    assert after["connections"]["HTTP/2"] == before["connections"]["HTTP/2"] + 1
    assert accepted_since(h2_simulator, since) == ["sim-goaway-1", "phone-1"]


async def test_a_stream_left_out_by_a_goaway_is_sent_again_once(
    h2_simulator: RunningSimulator, h2_fcm: FcmClient
) -> None:
    since = h2_simulator.control.position()
    assert (await h2_fcm.send("before")).status == 200
    assert (await h2_fcm.send("sim-goaway-unprocessed*1-1")).status == 200
    assert accepted_since(h2_simulator, since) == ["before", "sim-goaway-unprocessed*1-1"]


@pytest.mark.parametrize("every", [20, 50, 200])
async def test_goaways_under_load_lose_and_double_nothing(
    h2_simulator: RunningSimulator, h2_fcm: FcmClient, every: int
) -> None:
    since, before = h2_simulator.control.position(), h2_simulator.control.stats()["goaways"]
    h2_simulator.control.goaway_every(every)
    numbers = iter(range(1000))
    answered: list[str] = []
    given_up: list[str] = []

    async def work() -> None:
        for number in numbers:
            try:
                response = await h2_fcm.send(f"phone-{number}")
            except PyreqwestError:
                given_up.append(f"phone-{number}")
            else:
                assert response.status == 200
                answered.append(f"phone-{number}")

    await asyncio.gather(*[work() for _ in range(100)])
    assert len(answered) + len(given_up) == 1000
    # What the client gave up after some GOAWAYs in a row was accepted no more than it was answered.
    assert sorted(accepted_since(h2_simulator, since)) == sorted(answered)
    assert given_up == [] or every < 200
    assert h2_simulator.control.stats()["goaways"] - before >= len(answered) // every - 1


async def test_the_rules_of_a_batch_hit_those_they_name(
    h2_simulator: RunningSimulator, h2_fcm: FcmClient
) -> None:
    since = h2_simulator.control.position()
    h2_simulator.control.add_rule(prefix="lost", effect=Effect.LOST_RESPONSE)
    h2_simulator.control.add_rule(prefix="busy", error_code="UNAVAILABLE", accepted=True)
    h2_simulator.control.add_rule(prefix="gone", error_code="UNREGISTERED", effect="lost_response")
    results = await asyncio.gather(
        *map(h2_fcm.send, ["lost", "busy", "gone", "fine"]), return_exceptions=True
    )
    assert [getattr(result, "status", None) for result in results] == [None, 503, None, 200]
    assert sorted(accepted_since(h2_simulator, since)) == ["busy", "fine", "lost"]

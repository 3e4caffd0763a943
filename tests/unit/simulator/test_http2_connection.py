"""What becomes of the streams of one HTTP/2 connection, frame by frame."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from simulator import http2_connection
from simulator.fcm_simulator import FcmSimulator
from tests.unit.simulator.connections import Http2Client, let_timers_run
from tests.unit.simulator.sends import Control, get_token


@pytest.fixture
def access_token(simulator: FcmSimulator, folder: Path) -> str:
    return get_token(simulator, folder)


@pytest.fixture
async def client(simulator: FcmSimulator, access_token: str) -> Http2Client:
    return Http2Client(simulator, access_token)


def accepted_targets(simulator: FcmSimulator) -> list[str]:
    return [entry["target"] for entry in Control(simulator).get("audit")["entries"]]


async def test_requests_of_one_chunk_are_all_answered(client: Http2Client, simulator: FcmSimulator) -> None:
    streams = [client.send(f"phone-{number}") for number in range(100)]
    client.exchange()
    assert client.statuses == dict.fromkeys(streams, 200)
    assert client.ended == set(streams)
    assert accepted_targets(simulator) == [f"phone-{number}" for number in range(100)]


async def test_a_hundred_streams_may_be_open(client: Http2Client) -> None:
    assert client.http2.remote_settings.max_concurrent_streams == 100
    assert client.http2.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS] == 100


async def test_a_body_may_come_in_pieces(client: Http2Client, simulator: FcmSimulator) -> None:
    first = client.open()
    client.exchange()
    second = client.send("second")
    client.exchange()
    assert set(client.statuses) == {second}
    client.finish(first, "first")
    client.exchange()
    assert client.statuses[first] == 200
    assert accepted_targets(simulator) == ["second", "first"]


async def test_the_clients_window_is_opened_again_as_bodies_are_read(client: Http2Client) -> None:
    streams = []
    for _ in range(2 * http2_connection.WINDOW_BYTES // 300_000):
        streams += [client.send("t" * 3000) for _ in range(100)]
        client.exchange()
    assert client.ended == set(streams)


async def test_a_large_answer_waits_for_the_clients_window(
    simulator: FcmSimulator, access_token: str
) -> None:
    client = Http2Client(simulator, access_token, {SettingCodes.INITIAL_WINDOW_SIZE: 1000})
    for number in range(60):
        client.send(f"phone-{number}")
        client.exchange()
    stream = client.open(path="/control/audit", method="GET")
    client.exchange()
    assert len(client.bodies[stream]) == 1000
    while stream not in client.ended:
        client.http2.increment_flow_control_window(500, stream)
        client.http2.increment_flow_control_window(500)
        client.exchange()
    assert len(json.loads(client.bodies[stream])["entries"]) == 60


async def test_a_large_answer_waits_for_the_socket(client: Http2Client) -> None:
    client.connection.pause_writing()
    stream = client.open(path="/control/health", method="GET")
    client.exchange()
    assert stream not in client.bodies
    client.connection.resume_writing()
    client.read()
    assert stream in client.ended


async def test_lost_response_resets_the_stream_alone(client: Http2Client, simulator: FcmSimulator) -> None:
    lost, other = client.send("sim-lost-response-1"), client.send()
    client.exchange()
    assert client.resets == {lost: ErrorCodes.INTERNAL_ERROR}
    assert client.ended == {other}
    assert accepted_targets(simulator) == ["sim-lost-response-1", "phone-1"]


async def test_lost_connection_takes_what_follows_with_it(
    client: Http2Client, simulator: FcmSimulator
) -> None:
    for target in ("before", "sim-lost-connection-1", "after"):
        client.send(target)
    client.exchange()
    assert client.transport.aborted
    assert client.statuses == {}
    assert accepted_targets(simulator) == ["before", "sim-lost-connection-1"]


async def test_reset_refuses_the_stream_unprocessed(client: Http2Client, simulator: FcmSimulator) -> None:
    refused, other = client.send("sim-reset-1"), client.send()
    client.exchange()
    assert client.resets == {refused: ErrorCodes.REFUSED_STREAM}
    assert client.ended == {other}
    assert accepted_targets(simulator) == ["phone-1"]


async def test_goaway_answers_what_came_before_and_never_reads_what_comes_after(
    client: Http2Client, simulator: FcmSimulator
) -> None:
    before, last, after = client.send("before"), client.send("sim-goaway-1"), client.send("after")
    client.exchange()
    assert client.goaway == (ErrorCodes.NO_ERROR, last)
    assert client.ended == {before, last}
    assert after not in client.statuses
    assert accepted_targets(simulator) == ["before", "sim-goaway-1"]
    assert Control(simulator).get("audit/stats")["requests"] == 2


async def test_a_stream_above_the_goaway_is_not_read_though_it_was_open(
    client: Http2Client, simulator: FcmSimulator
) -> None:
    last, above = client.open(), client.open()
    client.finish(last, "sim-goaway-1")
    client.exchange()
    client.finish(above, "above")
    client.exchange()
    assert client.goaway == (ErrorCodes.NO_ERROR, last)
    assert client.ended == {last}
    assert accepted_targets(simulator) == ["sim-goaway-1"]


async def test_a_stream_below_the_goaway_is_still_answered(
    client: Http2Client, simulator: FcmSimulator
) -> None:
    slow, late = client.open(), client.send("sim-ok+delay=1-late")
    last = client.send("sim-goaway-1")
    client.finish(slow, "slow")
    data = client.http2.data_to_send()
    client.connection.data_received(data)
    await let_timers_run()
    client.read()
    assert client.goaway == (ErrorCodes.NO_ERROR, last)
    assert client.ended == {slow, late, last}
    assert accepted_targets(simulator) == ["sim-ok+delay=1-late", "sim-goaway-1", "slow"]


async def test_goaway_unprocessed_leaves_its_own_stream_out(
    client: Http2Client, simulator: FcmSimulator
) -> None:
    before, refused = client.send("before"), client.send("sim-goaway-unprocessed-1")
    after = client.send("after")
    client.exchange()
    assert client.goaway == (ErrorCodes.NO_ERROR, before)
    assert client.ended == {before}
    assert client.resets == {}
    assert refused not in client.statuses
    assert after not in client.statuses
    assert accepted_targets(simulator) == ["before"]


async def test_goaway_unprocessed_refuses_a_stream_that_no_goaway_can_leave_out(
    client: Http2Client, simulator: FcmSimulator
) -> None:
    refused, processed = client.open(), client.send("processed")
    client.finish(refused, "sim-goaway-unprocessed-1")
    client.exchange()
    assert client.goaway == (ErrorCodes.NO_ERROR, processed)
    assert client.resets == {refused: ErrorCodes.REFUSED_STREAM}
    assert accepted_targets(simulator) == ["processed"]


async def test_goaway_comes_after_the_number_of_sends_asked_for(
    client: Http2Client, simulator: FcmSimulator
) -> None:
    Control(simulator).post("goaway-every", {"requests": 3})
    client.open(path="/control/health", method="GET")
    streams = [client.send(f"phone-{number}") for number in range(5)]
    client.exchange()
    assert client.goaway == (ErrorCodes.NO_ERROR, streams[2])
    assert accepted_targets(simulator) == ["phone-0", "phone-1", "phone-2"]
    assert Control(simulator).get("audit/stats")["goaways"] == 1


async def test_the_connection_is_closed_some_time_after_the_last_answer(
    client: Http2Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http2_connection, "LINGER_SECONDS", 0.001)
    client.send("sim-goaway-1")
    client.exchange()
    assert not client.transport.closing
    await let_timers_run()
    assert client.transport.closing


async def test_a_client_that_gives_up_is_not_answered(client: Http2Client, simulator: FcmSimulator) -> None:
    stream = client.send("sim-ok+delay=1-x")
    client.http2.reset_stream(stream, ErrorCodes.CANCEL)
    client.exchange()
    await let_timers_run()
    client.read()
    assert client.statuses == {}
    assert accepted_targets(simulator) == ["sim-ok+delay=1-x"]


async def test_drip_sends_byte_by_byte(client: Http2Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2_connection, "DRIP_SECONDS", 0.0)
    stream = client.send("sim-drip-1")
    client.exchange()
    assert len(client.bodies[stream]) == 1
    while stream not in client.ended:
        await asyncio.sleep(0)
        before = len(client.bodies[stream])
        client.read()
        assert len(client.bodies[stream]) - before <= 1
    assert "name" in json.loads(client.bodies[stream])


async def test_hang_leaves_the_stream_open(client: Http2Client, simulator: FcmSimulator) -> None:
    hung, other = client.send("sim-hang-1"), client.send()
    client.exchange()
    assert client.ended == {other}
    assert hung not in client.resets
    assert accepted_targets(simulator) == ["sim-hang-1", "phone-1"]


async def test_a_lost_connection_ends_its_timers(client: Http2Client) -> None:
    client.send("sim-ok+delay=1-x")
    client.exchange()
    client.connection.connection_lost(None)
    await let_timers_run()
    assert client.transport.take() == b""


async def test_what_is_no_http2_ends_the_connection(client: Http2Client) -> None:
    client.connection.data_received(b"\x00" * 100)
    assert client.transport.closing


async def test_a_client_that_leaves_is_let_go(client: Http2Client) -> None:
    client.http2.close_connection()
    client.connection.data_received(client.http2.data_to_send())
    assert client.transport.closing

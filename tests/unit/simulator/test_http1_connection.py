"""One HTTP/1.1 connection, byte by byte."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from simulator import http1_connection
from simulator.fcm_simulator import FcmSimulator
from simulator.http1_connection import Http1Connection
from tests.unit.simulator.connections import MemoryTransport, let_timers_run
from tests.unit.simulator.sends import PROJECT, Control, get_token, make_message


class Http1Client:
    """Speaks to one connection of the simulator."""

    def __init__(self, simulator: FcmSimulator, access_token: str) -> None:
        self.transport = MemoryTransport()
        self.connection = Http1Connection(simulator)
        self.connection.connection_made(self.transport)
        self._access_token = access_token

    def request(self, target: str, *, chunked: bool = False) -> bytes:
        body = json.dumps({"message": make_message(token=target)}).encode()
        lines = [
            f"POST /v1/projects/{PROJECT}/messages:send HTTP/1.1",
            "Host: localhost",
            f"Authorization: Bearer {self._access_token}",
        ]
        if chunked:
            lines.append("Transfer-Encoding: chunked")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        else:
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def responses(self) -> list[tuple[int, bytes, bool]]:
        """Status, body and whether the connection closes, of each whole answer so far."""
        written, found = self.transport.take(), []
        while written:
            head, _, written = written.partition(b"\r\n\r\n")
            lines = head.decode().lower().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines[1:])
            length = int(headers.get("content-length", 0))
            found.append((int(lines[0].split()[1]), written[:length], headers.get("connection") == "close"))
            written = written[length:]
        return found


@pytest.fixture
async def client(simulator: FcmSimulator, folder: Path) -> Http1Client:
    return Http1Client(simulator, get_token(simulator, folder))


def accepted_targets(simulator: FcmSimulator) -> list[str]:
    return [entry["target"] for entry in Control(simulator).get("audit")["entries"]]


@pytest.mark.parametrize("chunked", [False, True])
async def test_requests_follow_each_other_on_one_connection(
    client: Http1Client, simulator: FcmSimulator, chunked: bool
) -> None:
    for target in "ab":
        client.connection.data_received(client.request(target, chunked=chunked))
        ((status, body, closes),) = client.responses()
        assert (status, closes) == (200, False)
        assert "name" in json.loads(body)
    assert accepted_targets(simulator) == ["a", "b"]
    assert Control(simulator).get("audit/stats")["protocols"] == {"HTTP/1.1": 2}


@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_bytes_may_come_in_any_pieces(client: Http1Client, simulator: FcmSimulator, size: int) -> None:
    data = client.request("a") + client.request("sim-UNREGISTERED-1") + client.request("b")
    for start in range(0, len(data), size):
        client.connection.data_received(data[start : start + size])
    assert [status for status, _, _ in client.responses()] == [200, 404, 200]
    assert accepted_targets(simulator) == ["a", "b"]


async def test_a_delayed_answer_comes_before_the_next(client: Http1Client) -> None:
    client.connection.data_received(client.request("sim-ok+delay=1-x") + client.request("sim-INTERNAL-1"))
    assert client.responses() == []
    await let_timers_run()
    assert [status for status, _, _ in client.responses()] == [200, 500]


@pytest.mark.parametrize(
    ("effect", "accepted"),
    [("lost-response", 1), ("lost-connection", 1), ("reset", 0), ("goaway-unprocessed", 0)],
)
async def test_what_drops_a_stream_drops_the_connection(
    client: Http1Client, simulator: FcmSimulator, effect: str, accepted: int
) -> None:
    client.connection.data_received(client.request(f"sim-{effect}-1") + client.request("after"))
    assert client.transport.aborted
    assert client.responses() == []
    assert len(accepted_targets(simulator)) == accepted


async def test_goaway_is_the_last_answer_of_the_connection(
    client: Http1Client, simulator: FcmSimulator
) -> None:
    client.connection.data_received(client.request("sim-goaway-1") + client.request("after"))
    assert [(status, closes) for status, _, closes in client.responses()] == [(200, True)]
    assert client.transport.closing
    assert accepted_targets(simulator) == ["sim-goaway-1"]


async def test_goaway_comes_after_the_number_of_sends_asked_for(
    client: Http1Client, simulator: FcmSimulator
) -> None:
    Control(simulator).post("goaway-every", {"requests": 2})
    client.connection.data_received(b"".join(client.request(target) for target in "abc"))
    assert [closes for _, _, closes in client.responses()] == [False, True]
    assert accepted_targets(simulator) == ["a", "b"]


async def test_drip_sends_byte_by_byte_and_goes_on(
    client: Http1Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http1_connection, "DRIP_SECONDS", 0.0)
    client.connection.data_received(client.request("sim-drip-1") + client.request("next"))
    head, _, body = client.transport.take().partition(b"\r\n\r\n")
    assert len(body) == 1
    length = int(head.decode().lower().partition("content-length: ")[2].split()[0])
    while len(body) < length:
        await asyncio.sleep(0)
        body += client.transport.take()
    assert "name" in json.loads(body[:length])
    assert body[length:].startswith(b"HTTP/1.1 200")


async def test_hang_answers_nothing(client: Http1Client, simulator: FcmSimulator) -> None:
    client.connection.data_received(client.request("sim-hang-1") + client.request("after"))
    assert client.responses() == []
    assert accepted_targets(simulator) == ["sim-hang-1"]


async def test_a_client_that_waits_for_leave_gets_it(client: Http1Client) -> None:
    head, _, body = client.request("a").partition(b"\r\n\r\n")
    client.connection.data_received(head + b"\r\nExpect: 100-continue\r\n\r\n")
    assert client.responses() == [(100, b"", False)]
    client.connection.data_received(body)
    assert [status for status, _, _ in client.responses()] == [200]


async def test_a_lost_connection_ends_its_timers(client: Http1Client) -> None:
    client.connection.data_received(client.request("sim-ok+delay=1-x"))
    client.connection.connection_lost(None)
    await let_timers_run()
    assert client.responses() == []


async def test_what_is_no_http_ends_the_connection(client: Http1Client) -> None:
    client.connection.data_received(b"\x16\x03\x01 nonsense\r\n\r\n")
    assert client.transport.closing

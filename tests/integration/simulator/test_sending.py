"""Sends over TLS and HTTP/2 from the client that the service uses, to both engines."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
import urllib.error
import urllib.request

import pytest
from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import ConnectError, RequestTimeoutError

from simulator.client import SimulatorControlError
from tests.integration.simulator.processes import FcmClient, RunningSimulator, make_http_client


async def test_a_message_is_accepted_over_http2(simulator: RunningSimulator, fcm: FcmClient) -> None:
    since = simulator.control.position()
    response = await fcm.send("phone-1")
    name = (await response.json())["name"]
    assert (response.status, response.version) == (200, "HTTP/2.0")
    assert response.get_header("content-type") == "application/json; charset=UTF-8"
    (entry,) = simulator.control.audit(since)
    assert (entry["message_id"], entry["target"], entry["title"]) == (name, "phone-1", "Hello")


async def test_http2_is_what_a_client_gets_that_leaves_the_choice_to_the_server(
    simulator: RunningSimulator,
) -> None:
    builder = ClientBuilder().http2(True).add_root_certificate_pem(simulator.ca)
    async with builder.build() as client:
        response = await client.get(f"{simulator.endpoint}/control/health").build().send()
    assert (response.status, response.version) == (200, "HTTP/2.0")


async def test_http1_is_spoken_too(simulator: RunningSimulator) -> None:
    async with make_http_client(simulator, http2=False) as client:
        fcm = FcmClient(simulator, client)
        await fcm.authenticate()
        responses = [await fcm.send(f"phone-{number}") for number in range(3)]
    assert {(response.status, response.version) for response in responses} == {(200, "HTTP/1.1")}


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("UNSPECIFIED_ERROR", 500),
        ("INVALID_ARGUMENT", 400),
        ("UNREGISTERED", 404),
        ("SENDER_ID_MISMATCH", 403),
        ("QUOTA_EXCEEDED", 429),
        ("UNAVAILABLE", 503),
        ("INTERNAL", 500),
        ("THIRD_PARTY_AUTH_ERROR", 401),
    ],
)
async def test_each_error_comes_over_the_wire(
    simulator: RunningSimulator, fcm: FcmClient, code: str, status: int
) -> None:
    since, refused = simulator.control.position(), simulator.control.stats()["last_refusal"]
    response = await fcm.send(f"sim-{code}*1+retry-after=4-1")
    assert (response.status, response.get_header("retry-after")) == (status, "4")
    assert code in await response.text()
    assert (await fcm.send(f"sim-{code}*1+retry-after=4-1")).status == 200
    assert len(simulator.control.audit(since)) == 1
    assert [one["answer"] for one in simulator.control.refusals(refused)] == [code]


async def test_a_page_of_googles_frontend_comes_over_the_wire(
    simulator: RunningSimulator, fcm: FcmClient
) -> None:
    response = await fcm.send("sim-502-1")
    assert (response.status, response.get_header("content-type")) == (502, "text/html; charset=UTF-8")


async def test_validate_only_is_not_delivered(simulator: RunningSimulator, fcm: FcmClient) -> None:
    since = simulator.control.position()
    response = await fcm.send("phone-1", validate_only=True)
    assert (await response.json())["name"].endswith("/fake_message_id")
    assert simulator.control.audit(since) == []
    assert len(simulator.control.audit(since, include_validated=True)) == 1


async def test_an_oversized_message_is_refused(fcm: FcmClient) -> None:
    response = await fcm.send("phone-1", data={"k": "x" * 5000})
    assert response.status == 400
    assert "Android message is too big" in await response.text()


async def test_a_revoked_token_is_401(simulator: RunningSimulator, fcm: FcmClient) -> None:
    simulator.control.revoke_tokens()
    assert (await fcm.send("phone-1")).status == 401
    await fcm.authenticate()
    assert (await fcm.send("phone-1")).status == 200


@pytest.mark.parametrize("target", ["sim-hang-1", "sim-hang+not-accepted-1", "sim-drip-1"])
async def test_an_answer_that_does_not_come_ends_at_the_clients_deadline(
    simulator: RunningSimulator, fcm: FcmClient, target: str
) -> None:
    since = simulator.control.position()
    async with make_http_client(simulator, timeout_seconds=0.5) as client:
        hasty = FcmClient(simulator, client)
        hasty.access_token = fcm.access_token
        started = time.monotonic()
        with pytest.raises(RequestTimeoutError):
            await hasty.send(target)
        assert 0.5 <= time.monotonic() - started < 5
        assert (await hasty.send("phone-1")).status == 200
    accepted = [entry["target"] for entry in simulator.control.audit(since)]
    assert accepted == (["phone-1"] if "not" in target else [target, "phone-1"])


async def test_latency_holds_up_the_answer_and_not_the_others(
    simulator: RunningSimulator, fcm: FcmClient
) -> None:
    simulator.control.set_latency(100)
    started = time.monotonic()
    await asyncio.gather(*[fcm.send(f"phone-{number}") for number in range(50)])
    assert 0.1 <= time.monotonic() - started < 50 * 0.1
    simulator.control.set_latency(0)
    started = time.monotonic()
    assert (await fcm.send("sim-ok+delay=150-1")).status == 200
    assert time.monotonic() - started >= 0.15


async def test_nothing_is_lost_or_doubled_under_load(simulator: RunningSimulator, fcm: FcmClient) -> None:
    since = simulator.control.position()
    numbers = iter(range(1000))

    async def work() -> None:
        for number in numbers:
            response = await fcm.send(f"phone-{number}")
            assert response.status == 200

    await asyncio.gather(*[work() for _ in range(100)])
    targets = [entry["target"] for entry in simulator.control.audit(since)]
    assert sorted(targets) == sorted(f"phone-{number}" for number in range(1000))


async def test_who_does_not_trust_the_certificate_does_not_connect(simulator: RunningSimulator) -> None:
    async with ClientBuilder().http2(True).build() as client:
        with pytest.raises(ConnectError):
            await client.get(f"{simulator.endpoint}/control/health").build().send()


def test_plain_clients_can_control_it(simulator: RunningSimulator) -> None:
    context = ssl.create_default_context(cafile=simulator.ready["ca_file"])
    with urllib.request.urlopen(f"{simulator.endpoint}/control/health", context=context) as response:
        assert json.loads(response.read())["engine"] == simulator.ready["engine"]
    with pytest.raises(urllib.error.HTTPError) as missing:
        urllib.request.urlopen(f"{simulator.endpoint}/nothing", context=context)
    with missing.value:
        assert missing.value.code == 404


async def test_every_control_works_over_the_wire(simulator: RunningSimulator, fcm: FcmClient) -> None:
    control = simulator.control
    rule_id = control.add_rule(prefix="tablet", error_code="QUOTA_EXCEEDED", retry_after_seconds=2, times=1)
    control.add_rule(token="phone-2", http_status=503)
    control.register_targets("demo-project-second", ["phone-3"])
    control.keep_captures(10)
    targets = ["tablet-1", "tablet-1", "phone-2", "phone-3", "phone-4"]
    assert [(await fcm.send(target)).status for target in targets] == [429, 200, 503, 403, 200]
    captured = [json.loads(capture["body"])["message"]["token"] for capture in control.captures()]
    assert captured == targets
    assert {capture["protocol"] for capture in control.captures()} == {"HTTP/2"}
    assert [rule["remaining"] for rule in control.rules()] == [0, None]
    control.remove_rule(rule_id)
    with pytest.raises(SimulatorControlError, match="404: there is no rule"):
        control.remove_rule(rule_id)
    control.clear_rules()
    assert control.rules() == []
    assert (await fcm.send("phone-2")).status == 200
    control.set_oauth("unavailable", times=1)
    with pytest.raises(AssertionError, match="temporarily_unavailable"):
        await fcm.authenticate()
    await fcm.authenticate()
    with pytest.raises(SimulatorControlError, match="400: error_code must be one of"):
        control.add_rule(error_code="OOPS")


async def test_granian_says_what_it_cannot_do(session_simulators: dict[str, RunningSimulator]) -> None:
    control = session_simulators["granian"].control
    assert control.health()["effects"] == ["drip", "hang"]
    for effect in ("lost_response", "lost_connection", "goaway", "goaway_unprocessed", "reset"):
        with pytest.raises(SimulatorControlError) as refused:
            control.add_rule(effect=effect)
        assert refused.value.status == 501
    with pytest.raises(SimulatorControlError, match="501"):
        control.goaway_every(10)

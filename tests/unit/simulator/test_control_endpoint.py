"""Steering and questioning the simulator over its control endpoint."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from simulator.exchange import Effect
from simulator.fcm_simulator import FcmSimulator
from tests.unit.simulator.conftest import MakeSimulator
from tests.unit.simulator.sends import PROJECT, SECOND_PROJECT, Control, Sender, error_of, make_request


def reason_of(simulator: FcmSimulator, method: str, path: str, content: object, status: int) -> str:
    answer = Control(simulator).call(method, path, content)
    assert answer.status == status, answer.body
    reason = json.loads(answer.body)["error"]
    assert isinstance(reason, str)
    return reason


def test_a_rule_answers_the_sends_that_it_matches(simulator: FcmSimulator, folder: Path) -> None:
    control, sender = Control(simulator), Sender(simulator, folder)
    rule = {
        "match": {"prefix": "tablet"},
        "error_code": "QUOTA_EXCEEDED",
        "quota": "device",
        "retry_after_seconds": 9,
        "delay_ms": 50,
        "times": 1,
    }
    rule_id = control.post("rules", rule)["id"]
    assert sender.send(token="phone-1").status == 200
    answer = sender.send(token="tablet-1")
    assert (answer.status, answer.delay_seconds) == (429, 0.05)
    assert ("retry-after", "9") in answer.headers
    assert "device:tablet-1" in json.dumps(error_of(answer))
    assert sender.send(token="tablet-1").status == 200
    assert control.get("rules")["rules"] == [
        {"id": rule_id, "answer": "QUOTA_EXCEEDED", "effect": "none", "matched": 1, "remaining": 0}
    ]


@pytest.mark.parametrize("match", [{"any": True}, {"token": "phone-1"}, {"project": PROJECT}])
def test_rules_match_as_they_say(simulator: FcmSimulator, folder: Path, match: object) -> None:
    Control(simulator).post("rules", {"match": match, "http_status": 502})
    assert Sender(simulator, folder).send().status == 502


def test_a_rule_for_one_project_leaves_the_other_alone(simulator: FcmSimulator, folder: Path) -> None:
    Control(simulator).post("rules", {"match": {"project": PROJECT}, "error_code": "UNAVAILABLE"})
    assert Sender(simulator, folder, SECOND_PROJECT).send().status == 200


def test_rules_can_be_deleted_one_by_one_or_all(simulator: FcmSimulator) -> None:
    control = Control(simulator)
    ids = [control.post("rules", {"match": {"any": True}})["id"] for _ in range(3)]
    assert control.call("DELETE", f"rules?id={ids[0]}").status == 200
    assert [rule["id"] for rule in control.get("rules")["rules"]] == ids[1:]
    assert reason_of(simulator, "DELETE", f"rules?id={ids[0]}", None, 404) == f"there is no rule {ids[0]}"
    assert control.call("DELETE", "rules").status == 200
    assert control.get("rules")["rules"] == []


@pytest.mark.parametrize(
    ("path", "content", "text"),
    [
        ("rules", {}, "match"),
        ("rules", [], "body: Input should be an object"),
        ("rules", {"match": {}}, "match needs"),
        ("rules", {"match": {"any": True, "token": "t"}}, "match needs"),
        ("rules", {"match": {"any": False}}, "match.any"),
        ("rules", {"match": {"tokens": "t"}}, "match.tokens"),
        ("rules", {"match": {"any": True}, "error": "UNAVAILABLE"}, "error: Extra"),
        ("rules", {"match": {"any": True}, "error_code": "OOPS"}, "error_code must be one of UNSPECIFIED"),
        ("rules", {"match": {"any": True}, "http_status": 200}, "http_status"),
        ("rules", {"match": {"any": True}, "http_status": "503"}, "http_status"),
        ("rules", {"match": {"any": True}, "error_code": "INTERNAL", "http_status": 500}, "exclude"),
        ("rules", {"match": {"any": True}, "effect": "explode"}, "effect"),
        ("rules", {"match": {"any": True}, "effect": "reset", "accepted": True}, "reset leaves"),
        ("rules", {"match": {"any": True}, "accepted": False}, "a success cannot"),
        ("rules", {"match": {"any": True}, "times": 0}, "times"),
        ("rules", {"match": {"any": True}, "error_code": "INTERNAL", "page_kib": 9}, "page_kib goes with"),
        ("goaway-every", {"requests": 0}, "requests"),
        ("goaway-every", {}, "requests"),
        ("latency", {"latency_ms": -1}, "latency_ms"),
        ("oauth", {"mode": "broken"}, "mode"),
        ("oauth", {"expires_in_seconds": 4000}, "expires_in_seconds"),
        ("registrations", {"project": "p"}, "targets"),
        ("captures", {"keep": -1}, "keep"),
    ],
)
def test_what_cannot_be_done_as_asked_is_refused_with_the_reason(
    simulator: FcmSimulator, path: str, content: object, text: str
) -> None:
    assert text in reason_of(simulator, "POST", path, content, 400)
    assert Control(simulator).get("rules")["rules"] == []


@pytest.mark.parametrize("path", ["audit?since=x", "audit?limit=-1", "refusals?since=1.5", "rules?id=1x"])
def test_numbers_must_be_numbers(simulator: FcmSimulator, path: str) -> None:
    method = "DELETE" if path.startswith("rules") else "GET"
    assert "must be a number" in reason_of(simulator, method, path, None, 400)


@pytest.mark.parametrize(("method", "path"), [("GET", "nothing"), ("PUT", "rules"), ("POST", "audit")])
def test_unknown_endpoints_are_not_found(simulator: FcmSimulator, method: str, path: str) -> None:
    assert f"{method} /control/{path}" in reason_of(simulator, method, path, None, 404)


@pytest.mark.parametrize("client", ["10.0.0.1", "", "unknown"])
def test_only_loopback_may_control(simulator: FcmSimulator, client: str) -> None:
    request = replace(make_request("GET", "/control/health"), client=client)
    assert simulator.answer(request).status == 403


@pytest.mark.parametrize("client", ["127.0.0.1", "::1"])
def test_loopback_may_control(simulator: FcmSimulator, client: str) -> None:
    request = replace(make_request("GET", "/control/health"), client=client)
    assert simulator.answer(request).status == 200


@pytest.mark.parametrize(
    ("path", "content"),
    [("rules", {"match": {"any": True}, "effect": "lost_response"}), ("goaway-every", {"requests": 5})],
)
def test_what_the_engine_cannot_do_is_501(make_simulator: MakeSimulator, path: str, content: object) -> None:
    simulator = make_simulator(engine="granian", effects=frozenset({Effect.HANG, Effect.DRIP}))
    assert "the granian engine cannot" in reason_of(simulator, "POST", path, content, 501)
    assert Control(simulator).get("health") == {"engine": "granian", "effects": ["drip", "hang"]}


def test_registered_targets_belong_to_their_project(simulator: FcmSimulator, folder: Path) -> None:
    Control(simulator).post("registrations", {"project": SECOND_PROJECT, "targets": ["phone-1"]})
    answer = Sender(simulator, folder).send(token="phone-1")
    assert (answer.status, error_of(answer)["message"]) == (403, "SenderId mismatch")
    assert Sender(simulator, folder, SECOND_PROJECT).send(token="phone-1").status == 200


def test_captures_keep_the_latest_requests_without_their_authorization(
    simulator: FcmSimulator, folder: Path
) -> None:
    control, sender = Control(simulator), Sender(simulator, folder)
    sender.send(token="before")
    control.post("captures", {"keep": 2})
    for name in "abc":
        sender.send(token=name)
    captures = control.get("captures")["captures"]
    assert [json.loads(one["body"])["message"]["token"] for one in captures] == ["b", "c"]
    assert [one["request_number"] for one in captures] == [3, 4]
    assert sender.token not in json.dumps(captures)
    control.post("captures", {"keep": 0})
    sender.send()
    assert control.get("captures")["captures"] == []


def test_stats_count_everything(simulator: FcmSimulator, folder: Path) -> None:
    sender = Sender(simulator, folder)
    for target in ("a", "sim-UNAVAILABLE*1-b", "sim-UNAVAILABLE*1-b", "sim-lost-response-c", "sim-reset-d"):
        sender.send(token=target)
    sender.send(token=None, topic="news")
    sender.send(token="dry", validate_only=True)
    assert Control(simulator).get("audit/stats") == {
        "accepted": 4,
        "validated": 1,
        "by_project": {PROJECT: 4},
        "by_kind": {"token": 3, "topic": 1},
        "last": 5,
        "requests": 7,
        "answers": {"OK": 5, "UNAVAILABLE": 1, "reset": 1},
        "refused": {"UNAVAILABLE": 1, "reset": 1},
        "effects": {"lost_response": 1, "reset": 1},
        "protocols": {"HTTP/2": 7},
        "connections": {},
        "goaways": 0,
        "tokens_issued": 1,
        "tokens_refused": 0,
        "last_refusal": 2,
    }


def test_reset_leaves_the_audit_and_the_counts(simulator: FcmSimulator, folder: Path) -> None:
    control, sender = Control(simulator), Sender(simulator, folder)
    control.post("rules", {"match": {"any": True}, "error_code": "INTERNAL", "times": 1})
    control.post("goaway-every", {"requests": 1})
    control.post("oauth", {"mode": "unavailable"})
    assert sender.send().status == 500
    sender.send()
    control.post("reset", {})
    assert simulator.goaway.every is None
    assert control.get("rules")["rules"] == []
    assert Sender(simulator, folder).send().status == 200
    stats = control.get("audit/stats")
    assert (stats["accepted"], stats["requests"], stats["last_refusal"]) == (2, 3, 1)

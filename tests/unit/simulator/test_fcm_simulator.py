"""The protocol core as a whole: who may send, what is accepted, and that the record is exact."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.exchange import MAX_BODY_BYTES, UNPROCESSED, Effect
from simulator.fcm_simulator import FcmSimulator
from simulator.h2_engine import SUPPORTED_EFFECTS
from simulator.instructions import InvalidInstructionError, read_target
from simulator.service_accounts import PROJECTS
from tests.unit.simulator.conftest import MakeSimulator
from tests.unit.simulator.sends import (
    ENDPOINT,
    PROJECT,
    SECOND_PROJECT,
    Control,
    Sender,
    detail_of,
    error_of,
    make_message,
    make_request,
)


def audit_of(simulator: FcmSimulator, query: str = "") -> list[dict[str, Any]]:
    entries = Control(simulator).get(f"audit{query}")["entries"]
    assert isinstance(entries, list)
    return entries


def test_an_accepted_message_is_in_the_audit_with_all_that_identifies_it(
    simulator: FcmSimulator, folder: Path
) -> None:
    answer = Sender(simulator, folder).send(
        notification={"title": "Your code"},
        android={"collapse_key": "c", "ttl": "60s", "notification": {"tag": "row-1"}},
        apns={"headers": {"Apns-Collapse-Id": "row-2"}},
        webpush={"notification": {"tag": "row-3"}},
    )
    name = json.loads(answer.body)["name"]
    assert answer.status == 200
    assert name.startswith(f"projects/{PROJECT}/messages/")
    (entry,) = audit_of(simulator)
    assert entry.pop("at").endswith("+00:00")
    assert entry.pop("size_bytes") > 100
    assert entry == {
        "sequence": 1,
        "request_number": 1,
        "message_id": name,
        "project": PROJECT,
        "target_kind": "token",
        "target": "phone-1",
        "validate_only": False,
        "title": "Your code",
        "android_tag": "row-1",
        "android_collapse_key": "c",
        "apns_collapse_id": "row-2",
        "webpush_tag": "row-3",
        "ttl": "60s",
    }


def test_message_ids_are_unique(simulator: FcmSimulator, folder: Path) -> None:
    sender = Sender(simulator, folder)
    names = {json.loads(sender.send().body)["name"] for _ in range(100)}
    assert len(names) == 100


def test_validate_only_is_answered_and_not_delivered(simulator: FcmSimulator, folder: Path) -> None:
    sender = Sender(simulator, folder)
    answer = sender.send(validate_only=True)
    assert json.loads(answer.body) == {"name": f"projects/{PROJECT}/messages/fake_message_id"}
    assert sender.send(validate_only=True, token="sim-UNREGISTERED-1").status == 404
    assert audit_of(simulator) == []
    (entry,) = audit_of(simulator, "?include_validated=1")
    assert entry["validate_only"]
    stats = Control(simulator).get("audit/stats")
    assert (stats["accepted"], stats["validated"], stats["requests"]) == (0, 1, 2)


@pytest.mark.parametrize(
    "authorization", [None, "", "Basic abc", "Bearer", "Bearer wrong", "Bearer ya29.sim-x"]
)
def test_who_has_no_token_may_not_send(simulator: FcmSimulator, authorization: str | None) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    body = json.dumps({"message": make_message()}).encode()
    answer = simulator.answer(make_request("POST", f"/v1/projects/{PROJECT}/messages:send", body, **headers))
    assert (answer.status, error_of(answer)["status"]) == (401, "UNAUTHENTICATED")
    assert detail_of(answer, "FcmError") is None
    assert audit_of(simulator) == []


@pytest.mark.parametrize("project", [SECOND_PROJECT, "unknown"])
def test_a_token_is_for_its_own_project_only(simulator: FcmSimulator, folder: Path, project: str) -> None:
    token = Sender(simulator, folder).token
    request = make_request(
        "POST", f"/v1/projects/{project}/messages:send", b"{}", authorization=f"Bearer {token}"
    )
    answer = simulator.answer(request)
    assert (answer.status, error_of(answer)["status"]) == (403, "PERMISSION_DENIED")
    assert project in error_of(answer)["message"]
    assert detail_of(answer, "FcmError") is None


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/v1/projects/{PROJECT}/messages:send", 200),
        (f"/v1/projects/{PROJECT}/messages%3Asend", 200),
        (f"/v1/projects/{PROJECT}/messages:send?%24.xgafv=2", 200),
        (f"/v1/projects/{PROJECT}/messages:sent", 404),
        (f"/v2/projects/{PROJECT}/messages:send", 404),
        ("/batch", 404),
        ("/", 404),
    ],
)
def test_paths(simulator: FcmSimulator, folder: Path, path: str, status: int) -> None:
    body = json.dumps({"message": make_message()}).encode()
    token = Sender(simulator, folder).token
    request = make_request("POST", path, body, authorization=f"Bearer {token}")
    assert simulator.answer(request).status == status


def test_other_methods_are_not_found(simulator: FcmSimulator) -> None:
    assert simulator.answer(make_request("GET", f"/v1/projects/{PROJECT}/messages:send")).status == 404


def test_a_body_beyond_all_measure_is_refused(simulator: FcmSimulator, folder: Path) -> None:
    answer = Sender(simulator, folder).send_body(b" " * (MAX_BODY_BYTES + 1))
    assert (answer.status, error_of(answer)["code"]) == (413, 413)


def test_a_refused_message_is_not_accepted_and_remembered_as_refused(
    simulator: FcmSimulator, folder: Path
) -> None:
    sender = Sender(simulator, folder)
    sender.send(data={"from": "x"})
    sender.send(token="sim-UNREGISTERED-1")
    sender.send(token="sim-OOPS-1")
    assert audit_of(simulator) == []
    refusals = Control(simulator).get("refusals")["refusals"]
    assert [(one["sequence"], one["request_number"], one["target"], one["answer"]) for one in refusals] == [
        (1, 1, "phone-1", "INVALID_ARGUMENT"),
        (2, 2, "sim-UNREGISTERED-1", "UNREGISTERED"),
        (3, 3, "sim-OOPS-1", "HTTP_400"),
    ]
    assert Control(simulator).get("refusals?since=2")["refusals"] == refusals[2:]


@pytest.mark.parametrize(
    ("target", "status", "effect", "accepted"),
    [
        ("sim-lost-response-1", 200, Effect.LOST_RESPONSE, True),
        ("sim-lost-connection-1", 200, Effect.LOST_CONNECTION, True),
        ("sim-hang-1", 200, Effect.HANG, True),
        ("sim-hang+not-accepted-1", 200, Effect.HANG, False),
        ("sim-drip-1", 200, Effect.DRIP, True),
        ("sim-goaway-1", 200, Effect.GOAWAY, True),
        ("sim-goaway-unprocessed-1", 0, Effect.GOAWAY_UNPROCESSED, False),
        ("sim-reset-1", 0, Effect.RESET, False),
        ("sim-UNAVAILABLE+accepted-1", 503, Effect.NONE, True),
        ("sim-502-1", 502, Effect.NONE, False),
    ],
)
def test_an_effect_says_what_becomes_of_the_answer(
    simulator: FcmSimulator, folder: Path, target: str, status: int, effect: Effect, accepted: bool
) -> None:
    answer = Sender(simulator, folder).send(token=target)
    assert (answer.status, answer.effect, answer.is_send) == (status, effect, True)
    assert len(audit_of(simulator)) == accepted
    assert len(Control(simulator).get("refusals")["refusals"]) == (not accepted)


def test_latency_is_that_of_the_simulator_and_of_the_target(
    make_simulator: MakeSimulator, folder: Path
) -> None:
    simulator = make_simulator(latency_ms=20)
    sender = Sender(simulator, folder)
    assert sender.send().delay_seconds == 0.02
    assert sender.send(token="sim-UNAVAILABLE+delay=300-1").delay_seconds == pytest.approx(0.32)
    Control(simulator).post("latency", {"latency_ms": 0})
    assert sender.send().delay_seconds == 0
    Control(simulator).post("reset", {})
    assert sender.send().delay_seconds == 0.02


def test_an_effect_that_the_engine_lacks_is_said_and_not_pretended(
    make_simulator: MakeSimulator, folder: Path
) -> None:
    simulator = make_simulator(engine="granian", effects=frozenset({Effect.HANG}))
    sender = Sender(simulator, folder)
    answer = sender.send(token="sim-lost-response-1")
    assert (answer.status, error_of(answer)["status"]) == (501, "UNIMPLEMENTED")
    assert "lost_response" in error_of(answer)["message"]
    assert audit_of(simulator) == []
    assert sender.send(token="sim-hang-1").effect is Effect.HANG


def test_requests_are_counted_on_after_a_restart(make_simulator: MakeSimulator, folder: Path) -> None:
    first = Sender(make_simulator(), folder)
    first.send(token="sim-INTERNAL-1")
    first.send()
    restarted = make_simulator()
    second = Sender(restarted, folder)
    second.token = first.token
    assert second.send().status == 200
    assert [(entry["sequence"], entry["request_number"]) for entry in audit_of(restarted)] == [(1, 2), (2, 3)]


def test_a_fault_of_the_simulator_itself_is_a_500_that_says_so(
    simulator: FcmSimulator, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sender = Sender(simulator, folder)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("simulator.audit_log.AuditLog.append", fail)
    answer = sender.send()
    assert (answer.status, error_of(answer)["message"]) == (500, "simulator: internal fault, see its stderr")
    assert "disk full" in capsys.readouterr().err
    assert audit_of(simulator) == []


targets = st.sampled_from(
    [
        "phone",
        "sim-UNREGISTERED-1",
        "sim-UNAVAILABLE*2-1",
        "sim-503+accepted-1",
        "sim-lost-response*1-1",
        "sim-hang+not-accepted-1",
        "sim-reset-1",
        "sim-goaway-unprocessed*1-1",
        "sim-project:other:x",
        "sim-OOPS-1",
        "not a token",
    ]
)


@settings(max_examples=40)
@given(sends=st.lists(st.tuples(targets, st.booleans()), max_size=12))
def test_every_request_is_either_in_the_audit_or_refused(
    service_account_folder: Path, sends: list[tuple[str, bool]]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in PROJECTS.values():
            (folder / file).write_bytes((service_account_folder / file).read_bytes())
        simulator = FcmSimulator(folder, endpoint=ENDPOINT, engine="h2", supported_effects=SUPPORTED_EFFECTS)
        sender = Sender(simulator, folder)
        answers = [sender.send(token=target, validate_only=dry) for target, dry in sends]
        entries = audit_of(simulator, "?include_validated=1")
        refusals = Control(simulator).get("refusals")["refusals"]
        stats = Control(simulator).get("audit/stats")
        simulator.close()
    numbers = [one["request_number"] for one in [*entries, *refusals]]
    assert sorted(numbers) == list(range(1, len(sends) + 1))
    assert stats["requests"] == len(sends) == sum(stats["answers"].values())
    assert stats["accepted"] + stats["validated"] == len(entries)
    assert sum(stats["refused"].values()) == len(refusals)
    accepted = {entry["request_number"] for entry in entries}
    for number, ((target, _), answer) in enumerate(zip(sends, answers, strict=True), start=1):
        if answer.effect in UNPROCESSED:
            assert number not in accepted
        elif answer.status == 200 and answer.effect is Effect.NONE:
            assert number in accepted
        elif number in accepted:
            assert "accepted" in target or answer.effect is not Effect.NONE


def test_the_targets_above_are_what_they_are_meant_to_be() -> None:
    assert read_target("sim-503+accepted-1").instruction is not None
    with pytest.raises(InvalidInstructionError):
        read_target("sim-OOPS-1")

"""Assertions in, access tokens out; and everything that Google refuses."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from simulator.exchange import Answer
from simulator.fcm_simulator import FcmSimulator
from simulator.token_endpoint import GOOGLE_AUDIENCE
from tests.unit.simulator.sends import (
    PROJECT,
    SECOND_PROJECT,
    Control,
    Sender,
    ask_token,
    make_assertion,
    make_request,
)


class FromNow(int):
    """Seconds from the moment at which a claim is made."""


def claimed(claims: dict[str, Any]) -> dict[str, Any]:
    now = int(time.time())
    return {name: now + value if isinstance(value, FromNow) else value for name, value in claims.items()}


def refusal_of(answer: Answer) -> tuple[str, str]:
    content = json.loads(answer.body)
    assert set(content) == {"error", "error_description"}
    return content["error"], content["error_description"]


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"aud": GOOGLE_AUDIENCE},
        {"scope": "email https://www.googleapis.com/auth/cloud-platform"},
        {"iat": FromNow(-540), "exp": FromNow(60)},
        {"iat": FromNow(540), "exp": FromNow(540 + 3600)},
        {"iat": FromNow(-3600), "exp": FromNow(-300)},
    ],
)
def test_a_good_assertion_gets_a_token(simulator: FcmSimulator, folder: Path, claims: dict[str, Any]) -> None:
    answer = ask_token(simulator, assertion=make_assertion(folder, **claimed(claims)))
    content = json.loads(answer.body)
    assert answer.status == 200
    assert set(content) == {"access_token", "expires_in", "token_type"}
    assert (content["expires_in"], content["token_type"]) == (3599, "Bearer")


@pytest.mark.parametrize(
    ("claims", "error", "text"),
    [
        ({"iss": "someone@else"}, "invalid_grant", "account not found"),
        ({"iss": None}, "invalid_grant", "account not found"),
        ({"aud": "https://example.com/token"}, "invalid_grant", "Failed audience check"),
        ({"aud": None}, "invalid_grant", "Failed audience check"),
        ({"scope": "https://www.googleapis.com/auth/datastore"}, "invalid_scope", "Invalid OAuth scope"),
        ({"scope": None}, "invalid_scope", "Invalid OAuth scope"),
        ({"iat": None}, "invalid_grant", "short-lived token"),
        ({"exp": None}, "invalid_grant", "short-lived token"),
        ({"iat": True}, "invalid_grant", "short-lived token"),
        ({"exp": FromNow(3700)}, "invalid_grant", "short-lived token"),
        ({"exp": FromNow(-10)}, "invalid_grant", "short-lived token"),
        ({"iat": FromNow(-4500), "exp": FromNow(-900)}, "invalid_grant", "short-lived token"),
        ({"iat": FromNow(900), "exp": FromNow(1800)}, "invalid_grant", "short-lived token"),
    ],
)
def test_a_bad_claim_is_refused(
    simulator: FcmSimulator, folder: Path, claims: dict[str, Any], error: str, text: str
) -> None:
    answer = ask_token(simulator, assertion=make_assertion(folder, **claimed(claims)))
    assert answer.status == 400
    refused, description = refusal_of(answer)
    assert refused == error
    assert text in description


def test_another_key_is_refused(simulator: FcmSimulator, folder: Path) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    answer = ask_token(simulator, assertion=make_assertion(folder, key=stranger))
    assert (answer.status, refusal_of(answer)) == (400, ("invalid_grant", "Invalid JWT Signature."))


@pytest.mark.parametrize(("algorithm", "key"), [("none", ""), ("HS256", "x" * 32)])
def test_another_algorithm_is_refused(
    simulator: FcmSimulator, folder: Path, algorithm: str, key: str
) -> None:
    claims = jwt.decode(make_assertion(folder), options={"verify_signature": False})
    answer = ask_token(simulator, assertion=jwt.encode(claims, key, algorithm=algorithm))
    assert refusal_of(answer) == ("invalid_grant", "Invalid JWT Signature.")


def test_the_key_of_another_project_is_refused(simulator: FcmSimulator, folder: Path) -> None:
    second = json.loads((folder / "service-account-second.json").read_text())
    answer = ask_token(simulator, assertion=make_assertion(folder, key=second["private_key"]))
    assert refusal_of(answer) == ("invalid_grant", "Invalid JWT Signature.")


@pytest.mark.parametrize("body", [b"", b"grant_type=password", b"\xff", b"grant_type=" + b"x" * 9])
def test_another_grant_is_refused(simulator: FcmSimulator, body: bytes) -> None:
    answer = simulator.answer(make_request("POST", "/token", body))
    assert (answer.status, refusal_of(answer)[0]) == (400, "unsupported_grant_type")


@pytest.mark.parametrize("assertion", ["", "x", "a.b.c"])
def test_what_is_no_assertion_is_refused(simulator: FcmSimulator, assertion: str) -> None:
    answer = ask_token(simulator, assertion=assertion)
    assert (answer.status, refusal_of(answer)) == (400, ("invalid_grant", "Bad Request"))


@pytest.mark.parametrize(
    ("mode", "status", "error"),
    [("invalid_grant", 400, "invalid_grant"), ("unavailable", 503, "temporarily_unavailable")],
)
def test_it_can_be_told_to_fail_and_to_recover(
    simulator: FcmSimulator, folder: Path, mode: str, status: int, error: str
) -> None:
    Control(simulator).post("oauth", {"mode": mode, "times": 2, "delay_ms": 40})
    assertion = make_assertion(folder)
    answers = [ask_token(simulator, assertion=assertion) for _ in range(3)]
    assert [answer.status for answer in answers] == [status, status, 200]
    assert [answer.delay_seconds for answer in answers] == [0.04, 0.04, 0]
    assert refusal_of(answers[0])[0] == error
    stats = Control(simulator).get("audit/stats")
    assert (stats["tokens_issued"], stats["tokens_refused"]) == (1, 2)


def test_it_can_fail_for_one_project_alone(simulator: FcmSimulator, folder: Path) -> None:
    Control(simulator).post("oauth", {"mode": "invalid_grant", "project": SECOND_PROJECT})
    statuses = {
        project: ask_token(simulator, assertion=make_assertion(folder, project=project)).status
        for project in (PROJECT, SECOND_PROJECT)
    }
    assert statuses == {PROJECT: 200, SECOND_PROJECT: 400}


def test_a_revoked_token_is_refused_until_a_new_one_is_fetched(simulator: FcmSimulator, folder: Path) -> None:
    sender = Sender(simulator, folder)
    assert sender.send().status == 200
    Control(simulator).post("oauth/revoke", {})
    assert sender.send().status == 401
    assert Sender(simulator, folder).send().status == 200

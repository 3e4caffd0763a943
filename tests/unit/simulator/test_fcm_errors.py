"""Errors in the form in which the real servers send them."""

from __future__ import annotations

import json

import pytest

from simulator.exchange import Answer
from simulator.fcm_errors import FCM_ERRORS, GATEWAY_ERRORS, fcm_error, gateway_error
from tests.unit.simulator.sends import detail_of, error_of


def make_error(
    code: str, *, kind: str = "token", quota: str = "project", retry_after_seconds: int | None = None
) -> Answer:
    return fcm_error(
        code,
        project="p",
        kind=kind,
        target="t",
        quota=quota,
        retry_after_seconds=retry_after_seconds,
    )


@pytest.mark.parametrize(
    ("code", "http_status", "status"),
    [
        ("UNSPECIFIED_ERROR", 500, "UNKNOWN"),
        ("INVALID_ARGUMENT", 400, "INVALID_ARGUMENT"),
        ("UNREGISTERED", 404, "NOT_FOUND"),
        ("SENDER_ID_MISMATCH", 403, "PERMISSION_DENIED"),
        ("QUOTA_EXCEEDED", 429, "RESOURCE_EXHAUSTED"),
        ("UNAVAILABLE", 503, "UNAVAILABLE"),
        ("INTERNAL", 500, "INTERNAL"),
        ("THIRD_PARTY_AUTH_ERROR", 401, "UNAUTHENTICATED"),
    ],
)
def test_a_documented_code_has_its_status_and_detail(code: str, http_status: int, status: str) -> None:
    answer = make_error(code)
    error = error_of(answer)
    assert (answer.status, error["code"], error["status"]) == (http_status, http_status, status)
    assert error["details"][0] == {
        "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError",
        "errorCode": code,
    }
    assert ("content-type", "application/json; charset=UTF-8") in answer.headers


def test_every_documented_code_is_there() -> None:
    # https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode
    assert set(FCM_ERRORS) == {
        "UNSPECIFIED_ERROR",
        "INVALID_ARGUMENT",
        "UNREGISTERED",
        "SENDER_ID_MISMATCH",
        "QUOTA_EXCEEDED",
        "UNAVAILABLE",
        "INTERNAL",
        "THIRD_PARTY_AUTH_ERROR",
    }


def test_unregistered_is_byte_for_byte_what_fcm_sends() -> None:
    assert json.loads(make_error("UNREGISTERED").body) == {
        "error": {
            "code": 404,
            "message": "Requested entity was not found.",
            "status": "NOT_FOUND",
            "details": [
                {
                    "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError",
                    "errorCode": "UNREGISTERED",
                }
            ],
        }
    }


@pytest.mark.parametrize(
    ("quota", "kind", "subject"),
    [("project", "token", "project:p"), ("device", "token", "device:t"), ("topic", "topic", "topic:t")],
)
def test_a_quota_says_whose_it_is(quota: str, kind: str, subject: str) -> None:
    detail = detail_of(make_error("QUOTA_EXCEEDED", kind=kind, quota=quota), "google.rpc.QuotaFailure")
    assert detail is not None
    assert [violation["subject"] for violation in detail["violations"]] == [subject]


def test_an_invalid_token_is_named_as_a_field() -> None:
    detail = detail_of(make_error("INVALID_ARGUMENT"), "google.rpc.BadRequest")
    assert detail is not None
    assert detail["fieldViolations"] == [
        {"field": "message.token", "description": "Invalid registration token"}
    ]


@pytest.mark.parametrize("code", sorted(FCM_ERRORS))
def test_retry_after_is_a_header(code: str) -> None:
    assert ("retry-after", "7") in make_error(code, retry_after_seconds=7).headers
    assert "retry-after" not in dict(make_error(code).headers)


@pytest.mark.parametrize("http_status", sorted(GATEWAY_ERRORS))
def test_the_servers_before_fcm_name_no_fcm_code(http_status: int) -> None:
    answer = gateway_error(http_status, retry_after_seconds=3)
    assert (answer.status, error_of(answer)["code"]) == (http_status, http_status)
    assert detail_of(answer, "FcmError") is None
    assert ("retry-after", "3") in answer.headers


@pytest.mark.parametrize("http_status", [302, 404, 502, 504, 599])
def test_googles_frontend_answers_with_a_page(http_status: int) -> None:
    answer = gateway_error(http_status)
    assert answer.status == http_status
    assert answer.body.startswith(b"<!DOCTYPE html>")
    assert ("content-type", "text/html; charset=UTF-8") in answer.headers


def test_a_page_is_as_large_as_it_is_asked_to_be_and_keeps_status_and_retry_after() -> None:
    answer = gateway_error(429, retry_after_seconds=3, page_kib=512)
    assert answer.status == 429
    assert 512 * 1024 <= len(answer.body) < 513 * 1024
    assert ("content-type", "text/html; charset=UTF-8") in answer.headers
    assert ("retry-after", "3") in answer.headers


@pytest.mark.parametrize("answer", [gateway_error(401), make_error("THIRD_PARTY_AUTH_ERROR")])
def test_401_carries_a_challenge(answer: Answer) -> None:
    assert "Bearer" in dict(answer.headers)["www-authenticate"]

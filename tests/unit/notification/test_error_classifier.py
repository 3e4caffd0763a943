"""What each answer means for the row and the device."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modules.notification.internals.channels.fcm.answer import FailureKind, FcmResponse, SendFailure
from modules.notification.internals.channels.fcm.error_table import (
    FAILURES,
    FCM_CODES,
    GOOGLE_STATUSES,
    HTTP_STATUSES,
)
from modules.notification.internals.error_classifier import (
    UNKNOWN_CODES,
    ErrorClassifier,
    accepted_message_id,
)
from modules.notification.types import Classification, Outcome, TargetAction, ThrottleScope
from tests.support.fcm_errors import bad_request, fcm_error, quota_failure
from tests.support.process_logs import capture_logs

DATE = "Sun, 01 Mar 2026 12:00:00 GMT"
WEEK_SECONDS = 7 * 86_400


def classify(
    status: int, body: dict[str, Any] | bytes = b"", headers: dict[str, str] | None = None
) -> Classification:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ErrorClassifier(on_unknown_code=lambda *_: None).classify(
        FcmResponse(status=status, headers=headers or {}, body=content)
    )


# The table of https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode, with what follows from each.
DOCUMENTED = [
    ("UNSPECIFIED_ERROR", 500, "UNKNOWN", Outcome.TRANSIENT, TargetAction.KEEP, 10),
    ("INVALID_ARGUMENT", 400, "INVALID_ARGUMENT", Outcome.PERMANENT, TargetAction.KEEP, 0),
    ("UNREGISTERED", 404, "NOT_FOUND", Outcome.TARGET_DEAD, TargetAction.DEACTIVATE, 0),
    ("SENDER_ID_MISMATCH", 403, "PERMISSION_DENIED", Outcome.TARGET_DEAD, TargetAction.QUARANTINE, 0),
    ("QUOTA_EXCEEDED", 429, "RESOURCE_EXHAUSTED", Outcome.THROTTLED, TargetAction.KEEP, 60),
    ("UNAVAILABLE", 503, "UNAVAILABLE", Outcome.TRANSIENT, TargetAction.KEEP, 10),
    ("INTERNAL", 500, "INTERNAL", Outcome.TRANSIENT, TargetAction.KEEP, 10),
    ("THIRD_PARTY_AUTH_ERROR", 401, "UNAUTHENTICATED", Outcome.MISCONFIGURED, TargetAction.KEEP, 0),
    ("APNS_AUTH_ERROR", 401, "UNAUTHENTICATED", Outcome.MISCONFIGURED, TargetAction.KEEP, 0),
]


@pytest.mark.parametrize(("code", "http", "status", "outcome", "action", "backoff"), DOCUMENTED)
def test_every_documented_code_has_its_meaning(
    code: str, http: int, status: str, outcome: Outcome, action: TargetAction, backoff: float
) -> None:
    meaning = classify(http, fcm_error(http, status, code))
    assert (meaning.code, meaning.outcome, meaning.target_action) == (code, outcome, action)
    assert meaning.min_backoff_seconds == backoff


def test_the_table_holds_the_documented_codes_and_no_others() -> None:
    assert set(FCM_CODES) == {row[0] for row in DOCUMENTED}


@pytest.mark.parametrize(
    ("status", "body", "outcome", "code"),
    [
        (400, fcm_error(400, "INVALID_ARGUMENT"), Outcome.PERMANENT, "INVALID_ARGUMENT"),
        (400, b"<html>", Outcome.PERMANENT, "HTTP_400"),
        (401, fcm_error(401, "UNAUTHENTICATED"), Outcome.MISCONFIGURED, "UNAUTHENTICATED"),
        (401, b"", Outcome.MISCONFIGURED, "HTTP_401"),
        (403, fcm_error(403, "PERMISSION_DENIED"), Outcome.MISCONFIGURED, "PERMISSION_DENIED"),
        (403, b"", Outcome.MISCONFIGURED, "HTTP_403"),
        (404, fcm_error(404, "NOT_FOUND"), Outcome.MISCONFIGURED, "NOT_FOUND"),
        (404, b"<html>Not Found</html>", Outcome.MISCONFIGURED, "HTTP_404"),
        (413, b"", Outcome.PERMANENT, "HTTP_413"),
        (429, b"", Outcome.THROTTLED, "HTTP_429"),
        (500, b"", Outcome.TRANSIENT, "HTTP_500"),
        (502, b"<html>", Outcome.TRANSIENT, "HTTP_502"),
        (503, b"", Outcome.TRANSIENT, "HTTP_503"),
        (504, b"", Outcome.UNKNOWN, "HTTP_504"),
        (504, fcm_error(504, "DEADLINE_EXCEEDED"), Outcome.UNKNOWN, "DEADLINE_EXCEEDED"),
        (200, b"", Outcome.UNKNOWN, "INVALID_RESPONSE"),
        (200, b"{}", Outcome.UNKNOWN, "INVALID_RESPONSE"),
        (200, b'{"name": ""}', Outcome.UNKNOWN, "INVALID_RESPONSE"),
        (200, b'{"name": 5}', Outcome.UNKNOWN, "INVALID_RESPONSE"),
        (200, b'{"name": "\\ud800"}', Outcome.UNKNOWN, "INVALID_RESPONSE"),
        (200, b'{"name": "projects/p/me', Outcome.UNKNOWN, "INVALID_RESPONSE"),
        (200, b"[" * 100_000, Outcome.UNKNOWN, "INVALID_RESPONSE"),
        (204, b"", Outcome.UNKNOWN, "INVALID_RESPONSE"),
        (201, b'{"name": "projects/p/messages/1"}', Outcome.UNKNOWN, "INVALID_RESPONSE"),
        (307, b"", Outcome.MISCONFIGURED, "HTTP_307"),
    ],
)
def test_answers_without_a_code_of_fcm_are_read_by_their_status(
    status: int, body: dict[str, Any] | bytes, outcome: Outcome, code: str
) -> None:
    meaning = classify(status, body)
    assert (meaning.outcome, meaning.code) == (outcome, code)
    assert meaning.target_action is TargetAction.KEEP


BODIES_OF_ANYBODY = [
    b"",
    b"<html>" + b"x" * 100_000,
    "zu viele Anfragen".encode("utf-16"),
    b"\xff\xfe\x00",
    b'{"error": {"status": "INVALID_ARGUMENT"}}',
    b'{"error": {"status": "UNAVAILABLE"}}',
    b'{"error": {"status": "NOT_FOUND"}}',
    json.dumps(fcm_error(404, "NOT_FOUND", "UNREGISTERED")).encode(),
    json.dumps(fcm_error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT")).encode(),
    json.dumps(fcm_error(503, "UNAVAILABLE", "A_CODE_OF_TOMORROW")).encode(),
]


@pytest.mark.parametrize("body", BODIES_OF_ANYBODY)
@pytest.mark.parametrize(
    ("status", "outcomes"),
    [
        (401, {Outcome.MISCONFIGURED}),
        (429, {Outcome.THROTTLED}),
        (500, {Outcome.TRANSIENT}),
        (503, {Outcome.TRANSIENT}),
        (504, {Outcome.UNKNOWN}),
    ],
)
def test_no_body_talks_a_status_out_of_what_it_says(status: int, outcomes: set[Outcome], body: bytes) -> None:
    meaning = classify(status, body, {"retry-after": "17"})
    assert meaning.outcome in outcomes
    if status == 429:
        assert (meaning.retry_after_seconds, meaning.scope) == (17, ThrottleScope.PROJECT)


def test_a_name_means_accepted() -> None:
    response = FcmResponse(status=200, body=b'{"name": "projects/p/messages/1"}')
    assert accepted_message_id(response) == "projects/p/messages/1"
    assert ErrorClassifier().classify(response).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize("status", [200, 400, 403, 410, 500, 503])
def test_unregistered_kills_a_token_only_with_404(status: int) -> None:
    assert classify(status, fcm_error(status, "NOT_FOUND", "UNREGISTERED")).target_action is TargetAction.KEEP


@pytest.mark.parametrize("status", [200, 400, 401, 404, 500])
def test_a_sender_mismatch_quarantines_only_with_403(status: int) -> None:
    meaning = classify(status, fcm_error(status, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"))
    assert meaning.target_action is TargetAction.KEEP


@pytest.mark.parametrize(
    ("status", "body", "reported"),
    [
        (400, fcm_error(400, "INVALID_ARGUMENT", "BRAND_NEW"), "BRAND_NEW"),
        (418, b"", "HTTP_418"),
        (418, fcm_error(418, "TEAPOT"), "TEAPOT"),
        (500, fcm_error(500, "INTERNAL", "token abc\n"), "UNREADABLE"),
        (503, fcm_error(503, "NOT_FOUND", "UNREGISTERED"), "UNREGISTERED"),
    ],
)
def test_unknown_codes_are_transient_and_reported(
    status: int, body: dict[str, Any] | bytes, reported: str
) -> None:
    reports: list[tuple[str, int]] = []
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    classifier = ErrorClassifier(on_unknown_code=lambda code, http: reports.append((code, http)))
    meaning = classifier.classify(FcmResponse(status=status, body=content))
    assert (meaning.outcome, meaning.code) == (Outcome.TRANSIENT, reported)
    assert meaning.min_backoff_seconds == 10
    assert reports == [(reported, status)]


def test_unknown_codes_are_counted_and_logged() -> None:
    counter = UNKNOWN_CODES.labels(provider="fcm")
    before = counter._value.get()
    body = json.dumps(fcm_error(400, "INVALID_ARGUMENT", "BRAND_NEW")).encode()
    with capture_logs() as logs:
        ErrorClassifier().classify(FcmResponse(status=400, body=body))
    assert counter._value.get() == before + 1
    [entry] = logs
    assert (entry["action"], entry["code"], entry["http_status"]) == (
        "push.unknown_provider_code",
        "BRAND_NEW",
        400,
    )


def test_known_codes_are_not_reported() -> None:
    reports: list[object] = []
    classifier = ErrorClassifier(on_unknown_code=lambda *code: reports.append(code))
    for code, http, status, *_ in DOCUMENTED:
        classifier.classify(FcmResponse(status=http, body=json.dumps(fcm_error(http, status, code)).encode()))
    assert reports == []


@pytest.mark.parametrize(
    ("kind", "outcome", "backoff"),
    [
        (FailureKind.CONNECT_FAILED, Outcome.TRANSIENT, 1),
        (FailureKind.STREAM_REFUSED, Outcome.THROTTLED, 1),
        (FailureKind.TOKEN_SERVER_UNREACHABLE, Outcome.TRANSIENT, 1),
        (FailureKind.TOKEN_RAN_OUT, Outcome.THROTTLED, 1),
        (FailureKind.TIMEOUT, Outcome.UNKNOWN, 10),
        (FailureKind.CONNECTION_LOST, Outcome.UNKNOWN, 1),
        (FailureKind.RESPONSE_TOO_LARGE, Outcome.UNKNOWN, 10),
        (FailureKind.UNEXPECTED, Outcome.UNKNOWN, 10),
        (FailureKind.SERVER_UNTRUSTED, Outcome.MISCONFIGURED, 0),
        (FailureKind.CREDENTIALS_UNUSABLE, Outcome.MISCONFIGURED, 0),
        (FailureKind.APP_UNKNOWN, Outcome.MISCONFIGURED, 30),
        (FailureKind.PAYLOAD_INVALID, Outcome.PERMANENT, 0),
    ],
)
def test_every_failure_has_its_meaning(kind: FailureKind, outcome: Outcome, backoff: float) -> None:
    meaning = ErrorClassifier().classify(SendFailure(kind=kind, detail="why"))
    assert (meaning.outcome, meaning.code) == (outcome, kind.name)
    assert meaning.min_backoff_seconds == backoff
    assert meaning.reason.endswith(": why")
    assert meaning.target_action is TargetAction.KEEP


def test_only_what_was_decided_in_this_process_is_no_attempt() -> None:
    """A credential or a server that cannot be had is evidence for the breaker; our own refusals are not."""
    kinds = {kind for kind in FailureKind if not ErrorClassifier().classify(SendFailure(kind=kind)).attempted}
    assert kinds == {
        FailureKind.PAYLOAD_INVALID,
        FailureKind.APP_UNKNOWN,
        FailureKind.NOT_LET_OUT,
        FailureKind.QUOTA_REACHED,
    }


def test_unreached_is_what_was_tried_and_certainly_not_read() -> None:
    """What may have been read never is: no answer in time, a lost connection, any response. Nor is what an
    operator has to mend, which is waited for without an end.
    """
    classify = ErrorClassifier().classify
    assert {kind for kind in FailureKind if classify(SendFailure(kind=kind)).unreached} == {
        FailureKind.TOKEN_SERVER_UNREACHABLE,
        FailureKind.TOKEN_RAN_OUT,
        FailureKind.CONNECT_FAILED,
        FailureKind.STREAM_REFUSED,
    }
    assert not any(classify(FcmResponse(status=status)).unreached for status in range(100, 600))


def test_the_tables_are_whole_and_their_reasons_are_one_line() -> None:
    assert set(FAILURES) == set(FailureKind)
    for meaning in (
        *FCM_CODES.values(),
        *GOOGLE_STATUSES.values(),
        *HTTP_STATUSES.values(),
        *FAILURES.values(),
    ):
        assert 10 < len(meaning.reason) < 100
        assert "\n" not in meaning.reason


@pytest.mark.parametrize(
    ("subject", "description", "scope"),
    [
        ("", "", ThrottleScope.PROJECT),
        ("project:1234", "Message rate exceeded", ThrottleScope.PROJECT),
        ("device:abc", "", ThrottleScope.DEVICE),
        ("token:abc", "", ThrottleScope.DEVICE),
        ("topic:news", "", ThrottleScope.TOPIC),
        ("", "Device message rate exceeded", ThrottleScope.DEVICE),
        ("", "Topic message rate exceeded", ThrottleScope.TOPIC),
        ("project:my-device-topic", "", ThrottleScope.PROJECT),
    ],
)
def test_a_quota_failure_says_whom_it_concerns(subject: str, description: str, scope: ThrottleScope) -> None:
    body = fcm_error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", quota_failure(subject, description))
    assert classify(429, body).scope is scope


def test_only_throttling_has_a_scope() -> None:
    assert classify(503, fcm_error(503, "UNAVAILABLE", "UNAVAILABLE")).scope is None
    assert classify(429).scope is ThrottleScope.PROJECT


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("message.android.ttl", "FCM refused the request as invalid; the token is kept: message.android.ttl"),
        (
            "message.data[0].value",
            "FCM refused the request as invalid; the token is kept: message.data[0].value",
        ),
        ("message.data.Otp 123", "FCM refused the request as invalid; the token is kept"),
    ],
)
def test_a_refused_field_is_named_but_never_a_value(field: str, reason: str) -> None:
    body = fcm_error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", bad_request(field))
    assert classify(400, body).reason == reason


@pytest.mark.parametrize("status", [429, 500, 503])
def test_retry_after_is_passed_on(status: int) -> None:
    assert classify(status, b"", {"retry-after": "17"}).retry_after_seconds == 17
    assert classify(status).retry_after_seconds is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 504])
def test_retry_after_means_nothing_where_waiting_does_not_help(status: int) -> None:
    assert classify(status, b"", {"retry-after": "17"}).retry_after_seconds is None


def test_a_date_to_retry_after_is_measured_on_the_servers_clock() -> None:
    headers = {"retry-after": "Sun, 01 Mar 2026 12:01:30 GMT", "date": DATE}
    assert classify(503, b"", headers).retry_after_seconds == 90


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=10), children, max_size=3)
    ),
    max_leaves=8,
)
error_documents = st.fixed_dictionaries(
    {},
    optional={
        "error": json_values
        | st.fixed_dictionaries(
            {},
            optional={
                "status": json_values | st.sampled_from(sorted(GOOGLE_STATUSES)),
                "details": json_values
                | st.lists(
                    st.fixed_dictionaries(
                        {
                            "@type": json_values
                            | st.sampled_from(
                                [
                                    "type.googleapis.com/google.firebase.fcm.v1.FcmError",
                                    "type.googleapis.com/google.rpc.QuotaFailure",
                                    "type.googleapis.com/google.rpc.BadRequest",
                                ]
                            )
                        },
                        optional={
                            "errorCode": json_values | st.sampled_from(sorted(FCM_CODES)),
                            "violations": json_values | st.lists(json_values, max_size=2),
                            "fieldViolations": json_values | st.lists(json_values, max_size=2),
                        },
                    )
                    | json_values,
                    max_size=3,
                ),
            },
        )
    },
)
bodies = st.binary(max_size=200) | error_documents.map(lambda document: json.dumps(document).encode())
header_values = (
    st.text(max_size=40) | st.integers().map(str) | st.datetimes().map(lambda at: at.strftime("%c GMT"))
)
headers = st.dictionaries(st.sampled_from(["retry-after", "date", "x"]), header_values, max_size=3)


@settings(max_examples=300)
@example(status=429, headers={"retry-after": "Mon, 01 Jan 0001 00:00:00 +2359"}, body=b"")
@example(status=200, headers={}, body=b'{"name": null}')
@example(status=400, headers={}, body=b'{"error": {"details": [{"@type": []}]}}')
@given(status=st.integers(min_value=100, max_value=999), headers=headers, body=bodies)
def test_every_answer_has_exactly_one_meaning(status: int, headers: dict[str, str], body: bytes) -> None:
    meaning = classify(status, body, headers)
    assert isinstance(meaning.outcome, Outcome)
    assert meaning.code
    assert "\n" not in meaning.reason
    assert meaning.retry_after_seconds is None or 1 <= meaning.retry_after_seconds <= WEEK_SECONDS
    assert (meaning.scope is not None) == (meaning.outcome is Outcome.THROTTLED)
    assert (meaning.target_action is not TargetAction.KEEP) == (meaning.outcome is Outcome.TARGET_DEAD)
    accepted = accepted_message_id(FcmResponse(status=status, headers=headers, body=body))
    assert (accepted is not None) == (meaning.outcome is Outcome.ACCEPTED)
    if status != 200:
        assert meaning.outcome is not Outcome.ACCEPTED

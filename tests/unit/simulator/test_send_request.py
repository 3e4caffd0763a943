"""What FCM refuses of a message, and what it takes."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from firebase_admin import messaging
from hypothesis import given
from hypothesis import strategies as st

from simulator.message_schema import TARGET_KINDS
from simulator.send_request import (
    MAX_MESSAGE_BYTES,
    MAX_TOPIC_MESSAGE_BYTES,
    RefusedRequestError,
    encoded_size,
    parse_send_request,
)
from tests.unit.simulator.sends import detail_of, error_of, make_message


def parse(message: object, **request: object) -> Any:
    return parse_send_request(json.dumps({"message": message, **request}).encode())


def refusal_of(body: bytes) -> RefusedRequestError:
    with pytest.raises(RefusedRequestError) as refused:
        parse_send_request(body)
    assert refused.value.answer.status == 400
    assert error_of(refused.value.answer)["status"] == "INVALID_ARGUMENT"
    return refused.value


def violations_of(refused: RefusedRequestError) -> list[tuple[str, str]]:
    detail = detail_of(refused.answer, "google.rpc.BadRequest")
    assert detail is not None
    return [(one["field"], one["description"]) for one in detail["fieldViolations"]]


def names_fcm_code(refused: RefusedRequestError) -> bool:
    detail = detail_of(refused.answer, "FcmError")
    assert detail is None or detail["errorCode"] == "INVALID_ARGUMENT"
    return detail is not None


@pytest.mark.parametrize("kind", TARGET_KINDS)
def test_each_kind_of_target_is_read(kind: str) -> None:
    send = parse(make_message(**{"token": None, kind: "target"}))
    assert (send.kind, send.target, send.validate_only) == (kind, "target", False)


@pytest.mark.parametrize("name", ["validate_only", "validateOnly"])
def test_validate_only_is_read_under_both_names(name: str) -> None:
    assert parse(make_message(), **{name: True}).validate_only


def make_android_notification() -> messaging.AndroidNotification:
    return messaging.AndroidNotification(
        title="t",
        body="b",
        icon="i",
        color="#112233",
        sound="s",
        tag="g",
        click_action="a",
        body_loc_key="k",
        body_loc_args=["1"],
        title_loc_key="k",
        title_loc_args=["1"],
        channel_id="c",
        image="https://i",
        ticker="t",
        sticky=True,
        event_timestamp=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        local_only=True,
        priority="max",
        vibrate_timings_millis=[1, 1500],
        default_vibrate_timings=True,
        default_sound=True,
        light_settings=messaging.LightSettings("#11223344", 1, 1000),
        default_light_settings=True,
        visibility="secret",
        notification_count=3,
        proxy="if_priority_lowered",
    )


def test_everything_that_firebase_admin_can_encode_is_known() -> None:
    message = messaging.Message(
        fid="installation",
        data={"k": "v"},
        notification=messaging.Notification(title="t", body="b", image="https://i"),
        android=messaging.AndroidConfig(
            collapse_key="c",
            priority="high",
            ttl=datetime.timedelta(seconds=1.5),
            restricted_package_name="p",
            data={"k": "v"},
            fcm_options=messaging.AndroidFCMOptions(analytics_label="l"),
            direct_boot_ok=True,
            bandwidth_constrained_ok=True,
            restricted_satellite_ok=True,
            notification=make_android_notification(),
        ),
        apns=messaging.APNSConfig(
            headers={"apns-collapse-id": "x"},
            payload=messaging.APNSPayload(
                messaging.Aps(alert="a", badge=1), custom={"any": [1, {"b": None}]}
            ),
            fcm_options=messaging.APNSFCMOptions(analytics_label="l", image="https://i"),
            live_activity_token="live",
        ),
        webpush=messaging.WebpushConfig(
            headers={"TTL": "1"},
            data={"k": "v"},
            notification=messaging.WebpushNotification(title="t", custom_data={"x": 1}),
            fcm_options=messaging.WebpushFCMOptions(link="https://l"),
        ),
        fcm_options=messaging.FCMOptions(analytics_label="l"),
    )
    body = b'{"message":%s}' % str(message).encode()
    assert parse_send_request(body).kind == "fid"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "Invalid JSON payload received."),
        (b"{", "Invalid JSON payload received."),
        (b"\xff{}", "Invalid JSON payload received."),
        (b'{"message":NaN}', "Unexpected token: NaN"),
        (b'{"message":{"token":"t","data":{"k":"\\ud800"}}}', "Invalid JSON payload received."),
        (b"[" * 100_000, "Invalid JSON payload received."),
    ],
)
def test_a_body_that_is_no_json_is_refused(body: bytes, text: str) -> None:
    refused = refusal_of(body)
    assert text in error_of(refused.answer)["message"]
    assert not names_fcm_code(refused)


@pytest.mark.parametrize(
    ("message", "field", "text"),
    [
        ([], "message", "Invalid value at 'message'"),
        (make_message(surprise=1), "message", "Unknown name \"surprise\" at 'message': Cannot find field."),
        (make_message(notification={"titel": "x"}), "message.notification", 'Unknown name "titel"'),
        (make_message(token=5), "message.token", "Invalid value at 'message.token' (TYPE_STRING), 5"),
        (make_message(data={"a": "b", "k": 12}), "message.data[1].value", "(TYPE_STRING), 12"),
        (make_message(data={"k": None}), "message.data[0].value", "(TYPE_STRING), null"),
        (make_message(data=["k"]), "message.data", "(Map)"),
        (make_message(android={"ttl": 60}), "message.android.ttl", "google.protobuf.Duration), 60"),
        (make_message(android={"ttl": "60"}), "message.android.ttl", "google.protobuf.Duration"),
        (make_message(android={"ttl": "1m"}), "message.android.ttl", "google.protobuf.Duration"),
        (make_message(android={"priority": "urgent"}), "message.android.priority", "AndroidMessagePriority"),
        (
            make_message(android={"notification": {"sticky": "yes"}}),
            "message.android.notification.sticky",
            "TYPE_BOOL",
        ),
        (
            make_message(android={"notification": {"notification_count": 1.5}}),
            "message.android.notification.notification_count",
            "TYPE_INT32",
        ),
        (
            make_message(android={"notification": {"notification_count": 2**31}}),
            "message.android.notification.notification_count",
            "TYPE_INT32",
        ),
        (
            make_message(android={"notification": {"body_loc_args": ["a", 1]}}),
            "message.android.notification.body_loc_args[1]",
            "TYPE_STRING",
        ),
        (
            make_message(android={"notification": {"vibrate_timings": "1s"}}),
            "message.android.notification.vibrate_timings",
            "Duration",
        ),
        (
            make_message(android={"notification": {"event_time": "now"}}),
            "message.android.notification.event_time",
            "Timestamp",
        ),
        (make_message(apns={"payload": "aps"}), "message.apns.payload", "google.protobuf.Struct"),
        (
            make_message(apns={"headers": {"apns-priority": 5}}),
            "message.apns.headers[0].value",
            "TYPE_STRING",
        ),
    ],
)
def test_a_body_of_the_wrong_shape_is_refused_before_fcm_sees_it(message: Any, field: str, text: str) -> None:
    refused = refusal_of(json.dumps({"message": message}).encode())
    (violation,) = violations_of(refused)
    assert violation[0] == field
    assert text in violation[1]
    assert error_of(refused.answer)["message"] == violation[1]
    assert not names_fcm_code(refused)


def test_all_violations_are_named_at_once() -> None:
    refused = refusal_of(b'{"message":{"token":1,"x":1},"y":1}')
    assert [field for field, _ in violations_of(refused)] == ["message.token", "message", ""]


@pytest.mark.parametrize(
    ("message", "field", "text"),
    [
        (None, "message", "Recipient of the message is not set."),
        ({}, "message", "Recipient of the message is not set."),
        (make_message(token=None, topic="t", fid="f"), "message", "Cannot set 'topic'"),
        (make_message(token="a b"), "message.token", "not a valid FCM registration token"),
        (make_message(token=""), "message.token", "not a valid FCM registration token"),
        (make_message(token=None, fid="é"), "message.fid", "not a valid FCM registration token"),
        (make_message(token=None, topic="/topics/news"), "message.topic", "Malformed topic name"),
        (make_message(token=None, condition=" "), "message.condition", "Invalid condition"),
        (make_message(data={"from": "x"}), "message.data", "Invalid data payload key: from"),
        (make_message(data={"notification": "x"}), "message.data", "Invalid data payload key"),
        (make_message(data={"message_type": "x"}), "message.data", "Invalid data payload key"),
        (make_message(data={"google.x": "x"}), "message.data", "Invalid data payload key: google.x"),
        (make_message(data={"gcm.x": "x"}), "message.data", "Invalid data payload key: gcm.x"),
        (make_message(android={"data": {"from": "x"}}), "message.android.data", "Invalid data payload key"),
        (make_message(webpush={"data": {"from": "x"}}), "message.webpush.data", "Invalid data payload key"),
        (make_message(android={"ttl": "2419200.5s"}), "message.android.ttl", "between 0s and 2419200s"),
        (make_message(android={"ttl": "-1s"}), "message.android.ttl", "between 0s and 2419200s"),
        (
            make_message(webpush={"fcm_options": {"link": "http://x"}}),
            "message.webpush.fcm_options.link",
            "HTTPS",
        ),
    ],
)
def test_a_message_that_fcm_does_not_take_is_refused(message: Any, field: str, text: str) -> None:
    refused = refusal_of(json.dumps({"message": message}).encode())
    (violation,) = violations_of(refused)
    assert violation[0] == field
    assert text in violation[1]
    assert names_fcm_code(refused)


@pytest.mark.parametrize(
    "message",
    [
        make_message(android={"ttl": "0s", "priority": "high", "directBootOk": True}),
        make_message(android={"ttl": "2419200s", "priority": "NORMAL", "collapseKey": "k"}),
        make_message(android={"ttl": "3.000000001s", "notification": {"notification_count": "3"}}),
        make_message(
            android={"notification": {"notification_count": 3.0, "event_time": "2026-01-01T00:00:00Z"}}
        ),
        make_message(data={"fromage": "x", "googles": "x", "collapse_key": "x"}),
        make_message(data=None, android=None),
        {
            "token": "t",
            "data": None,
            "android": {"ttl": None, "data": None},
            "webpush": {"fcm_options": None},
        },
        {"token": "t", "topic": None},
    ],
)
def test_what_looks_odd_but_is_right_is_taken(message: dict[str, Any]) -> None:
    assert parse(message).kind == "token"


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        ("token", MAX_MESSAGE_BYTES),
        ("fid", MAX_MESSAGE_BYTES),
        ("topic", MAX_TOPIC_MESSAGE_BYTES),
        ("condition", MAX_TOPIC_MESSAGE_BYTES),
    ],
)
@pytest.mark.parametrize("letter", ["x", "é", "漢", "🙂"])
def test_the_limit_is_exact(kind: str, limit: int, letter: str) -> None:
    target = {kind: "t" * 300}
    room = limit - len('{"notification":{"title":""}}')
    count, rest = divmod(room, len(letter.encode()))
    title = letter * count + "x" * rest
    # An escaped letter takes no more room than the letter itself.
    assert parse({**target, "notification": {"title": title}}).size_bytes == limit
    refused = refusal_of(json.dumps({"message": {**target, "notification": {"title": title + "x"}}}).encode())
    assert violations_of(refused) == [("message", f"The message has {limit + 1} bytes, {limit} are allowed")]
    assert names_fcm_code(refused)
    assert refused.target == target[kind]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.dictionaries(texts, texts, max_size=5), st.sampled_from(TARGET_KINDS), st.text("abc", min_size=1))
def test_the_size_is_that_of_what_is_sent_without_its_target(
    data: dict[str, str], kind: str, target: str
) -> None:
    message = {"data": data, kind: target}
    compact = json.dumps({"data": data}, separators=(",", ":"), ensure_ascii=False)
    assert encoded_size(message) == len(compact.encode())
    assert encoded_size(json.loads(json.dumps(message))) == encoded_size(message)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=8,
)
known_names = st.sampled_from(
    ["token", "topic", "data", "notification", "android", "apns", "webpush", "ttl", "title", "tag", "headers"]
)


@given(
    st.binary() | st.dictionaries(known_names, json_values).map(lambda m: json.dumps({"message": m}).encode())
)
def test_any_body_is_taken_or_refused_in_googles_form(body: bytes) -> None:
    try:
        send = parse_send_request(body)
    except RefusedRequestError as refused:
        assert error_of(refused.answer)["code"] == 400
        assert violations_of(refused)
    else:
        assert send.target
        assert send.size_bytes <= MAX_MESSAGE_BYTES

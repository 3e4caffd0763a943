"""What FCM takes, checked before anything is written or sent."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from modules.application.errors import InvalidInputError
from modules.notification.internals.fcm_params import FCMParams
from modules.notification.types import (
    AndroidOptions,
    ApnsOptions,
    OutcomePolicy,
    SendPushParams,
    WebPushOptions,
)
from tests.support.fcm_checks import HALF_A_PAIR, NOW, found, problems_of, sized
from tests.support.fcm_factories import make_params


def test_the_readmes_examples_pass() -> None:
    login = make_params(data={"type": "login_alert", "session_id": "abc123"})
    reminder = make_params(
        title="Appointment Reminder",
        body="Your appointment is in 1 hour",
        data={"type": "appointment", "appointment_id": "appt123"},
        click_action="/appointments/appt123",
    )
    assert found(login, immediate=True) == []
    assert found(reminder, expires_at=NOW + timedelta(hours=1)) == []
    # As in the README's example: local time without a zone.
    naive = datetime.now() + timedelta(minutes=10)
    assert found(make_params(data={"code": "123456"}), immediate=True, expires_at=naive, now=None) == []


def test_everything_that_can_be_said_at_once_passes() -> None:
    params = make_params(
        data={"key": "value", "gcm": "fine", "googley": "fine", "From": "fine", "ключ": "значение"},
        image_url="https://example.com:8443/a.png?size=2",
        click_action="shop://appointments/7",
        category="reminders",
        app_id="shop",
        outcome_policy=OutcomePolicy.AT_MOST_ONCE,
        android=AndroidOptions(
            channel_id="alerts", priority="high", collapse_key="alert", sound="bell", click_action="OPEN"
        ),
        apns=ApnsOptions(
            headers={"apns-priority": "5", "Apns-Push-Type": "alert", "apns-collapse-id": "x" * 64},
            badge=0,
            sound="bell.aiff",
            thread_id="alerts",
            category="APPOINTMENT",
            interruption_level="critical",
        ),
        webpush=WebPushOptions(link="https://example.com/alerts"),
        analytics_label="spring-2026_a.b~c%d",
    )
    assert found(params, target_count=500, expires_at=NOW + timedelta(days=28)) == []


@pytest.mark.parametrize("field", ["title", "body"])
@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "invalid_type"),
        (7, "invalid_type"),
        (b"text", "invalid_type"),
        (["text"], "invalid_type"),
        ("", "required"),
        (" \t\n", "required"),
        (HALF_A_PAIR, "invalid_text"),
        ("a\x00b", "invalid_text"),
    ],
)
def test_title_and_body_are_texts(field: str, value: object, code: str) -> None:
    assert found(make_params(**{field: value})) == [(code, field)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (None, [("invalid_type", "data")]),
        ([], [("invalid_type", "data")]),
        ("text", [("invalid_type", "data")]),
        ({1: "x"}, [("invalid_type", "data")]),
        ({"n": 1}, [("invalid_type", "data.n")]),
        ({"n": None}, [("invalid_type", "data.n")]),
        ({"n": {"a": "b"}}, [("invalid_type", "data.n")]),
        ({"": "x"}, [("invalid_key", "data.")]),
        ({"a\nb": "x"}, [("invalid_key", "data.a\\nb")]),
        ({HALF_A_PAIR: "x"}, [("invalid_key", "data.\\ud83d")]),
        ({"n": HALF_A_PAIR}, [("invalid_text", "data.n")]),
        ({"n": "a\x00"}, [("invalid_text", "data.n")]),
        ({"from": "x"}, [("reserved_key", "data.from")]),
        ({"notification": "x"}, [("reserved_key", "data.notification")]),
        ({"message_type": "x"}, [("reserved_key", "data.message_type")]),
        ({"google.c": "x"}, [("reserved_key", "data.google.c")]),
        ({"gcm.n": "x"}, [("reserved_key", "data.gcm.n")]),
        ({"$ref": "x", "$id": "y"}, [("reserved_key", "data.$ref"), ("reserved_key", "data.$id")]),
        ({"$": "x", "a$": "fine"}, [("reserved_key", "data.$")]),
        ({"x" * 80: 1}, [("invalid_type", f"data.{'x' * 64}…")]),
        ({"from": 1, "ok": "ok"}, [("reserved_key", "data.from"), ("invalid_type", "data.from")]),
    ],
)
def test_data_maps_strings_to_strings(data: object, expected: list[tuple[str, str]]) -> None:
    assert found(make_params(data=data)) == expected


BAD_URLS = [
    "http://example.com/a.png",
    "HTTPS://example.com/a.png",
    "//example.com/a.png",
    "https://",
    "https:///a.png",
    "https://.",
    "https://:443/a.png",
    "https://example.com:99999/",
    "https://example.com:port/",
    "https://[::1/",
    "https://exa mple.com/",
    "https://example.com/a\n",
    "javascript:alert(1)",
    "",
    "https://example.com/" + "a" * 2048,
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_addresses_are_https_with_a_host(url: str) -> None:
    params = make_params(image_url=url, webpush=WebPushOptions(link=url))
    assert found(params) == [("invalid_url", "image_url"), ("invalid_url", "webpush.link")]


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({"image_url": 5}, ("invalid_type", "image_url")),
        ({"click_action": ""}, ("invalid_click_action", "click_action")),
        ({"click_action": 5}, ("invalid_type", "click_action")),
        ({"click_action": "/a\nb"}, ("invalid_click_action", "click_action")),
        ({"click_action": "OPEN_APPOINTMENT"}, ("invalid_click_action", "click_action")),
        ({"click_action": "javascript:alert(1)"}, ("invalid_click_action", "click_action")),
        ({"click_action": HALF_A_PAIR}, ("invalid_text", "click_action")),
        ({"click_action": "/a", "data": {"click_action": "/b"}}, ("conflict", "data.click_action")),
        ({"android": AndroidOptions(click_action="")}, ("invalid_value", "android.click_action")),
        ({"apns": ApnsOptions(category=" ")}, ("invalid_value", "apns.category")),
        ({"apns": ApnsOptions(interruption_level="loud")}, ("invalid_value", "apns.interruption_level")),
        (
            {"apns": ApnsOptions(interruption_level=5)},  # type: ignore[arg-type]
            ("invalid_value", "apns.interruption_level"),
        ),
        (
            {"apns": ApnsOptions(interruption_level="passive", sound="default")},
            ("conflict", "apns.sound"),
        ),
        (
            {"apns": ApnsOptions(headers={"Apns-Push-Type": "background"})},
            ("conflict", "apns.headers.Apns-Push-Type"),
        ),
        ({"category": ""}, ("invalid_category", "category")),
        ({"category": None}, ("invalid_category", "category")),
        ({"category": "x" * 65}, ("invalid_category", "category")),
        ({"app_id": ""}, ("invalid_app_id", "app_id")),
        ({"app_id": "x" * 65}, ("invalid_app_id", "app_id")),
        ({"app_id": 5}, ("invalid_app_id", "app_id")),
        ({"outcome_policy": "at_least_once"}, ("invalid_type", "outcome_policy")),
        ({"outcome_policy": None}, ("invalid_type", "outcome_policy")),
        ({"analytics_label": ""}, ("invalid_value", "analytics_label")),
        ({"analytics_label": "x" * 51}, ("invalid_value", "analytics_label")),
        ({"analytics_label": "a b"}, ("invalid_value", "analytics_label")),
        ({"analytics_label": "label\n"}, ("invalid_value", "analytics_label")),
        ({"android": None}, ("invalid_type", "android")),
        ({"android": {}}, ("invalid_type", "android")),
        ({"android": AndroidOptions(priority="HIGH")}, ("invalid_value", "android.priority")),
        ({"android": AndroidOptions(priority=5)}, ("invalid_value", "android.priority")),  # type: ignore[arg-type]
        ({"android": AndroidOptions(channel_id="")}, ("invalid_value", "android.channel_id")),
        ({"android": AndroidOptions(collapse_key="x" * 257)}, ("invalid_value", "android.collapse_key")),
        ({"android": AndroidOptions(sound=HALF_A_PAIR)}, ("invalid_text", "android.sound")),
        ({"apns": "x"}, ("invalid_type", "apns")),
        ({"apns": ApnsOptions(badge=-1)}, ("invalid_value", "apns.badge")),
        ({"apns": ApnsOptions(badge=True)}, ("invalid_value", "apns.badge")),
        ({"apns": ApnsOptions(badge=1.0)}, ("invalid_value", "apns.badge")),  # type: ignore[arg-type]
        ({"apns": ApnsOptions(badge=10**400)}, ("invalid_value", "apns.badge")),
        ({"apns": ApnsOptions(sound="")}, ("invalid_value", "apns.sound")),
        ({"apns": ApnsOptions(thread_id=" ")}, ("invalid_value", "apns.thread_id")),
        ({"apns": ApnsOptions(headers=[])}, ("invalid_type", "apns.headers")),  # type: ignore[arg-type]
        ({"apns": ApnsOptions(headers={5: "x"})}, ("invalid_type", "apns.headers")),  # type: ignore[dict-item]
        ({"apns": ApnsOptions(headers={"priority": "5"})}, ("invalid_key", "apns.headers.priority")),
        (
            {"apns": ApnsOptions(headers={"apns-priority": 5})},  # type: ignore[dict-item]
            ("invalid_value", "apns.headers.apns-priority"),
        ),
        (
            {"apns": ApnsOptions(headers={"apns-priority": "7"})},
            ("invalid_value", "apns.headers.apns-priority"),
        ),
        (
            {"apns": ApnsOptions(headers={"apns-topic": "a\r\nb: c"})},
            ("invalid_value", "apns.headers.apns-topic"),
        ),
        (
            {"apns": ApnsOptions(headers={"apns-collapse-id": "x" * 65})},
            ("invalid_value", "apns.headers.apns-collapse-id"),
        ),
        (
            {"apns": ApnsOptions(headers={"apns-expiration": "soon"})},
            ("invalid_value", "apns.headers.apns-expiration"),
        ),
        (
            {"apns": ApnsOptions(headers={"apns-topic": "a", "APNS-Topic": "b"})},
            ("duplicate_key", "apns.headers.APNS-Topic"),
        ),
        ({"webpush": []}, ("invalid_type", "webpush")),
        ({"webpush": WebPushOptions(link=5)}, ("invalid_type", "webpush.link")),  # type: ignore[arg-type]
    ],
)
def test_each_option_has_its_rule(over: dict[str, Any], expected: tuple[str, str]) -> None:
    assert found(make_params(**over)) == [expected]


def test_an_expiry_is_said_once() -> None:
    params = make_params(apns=ApnsOptions(headers={"apns-expiration": "1772366400"}))
    assert found(params) == []
    assert found(params, expires_at=NOW + timedelta(hours=1)) == [
        ("conflict", "apns.headers.apns-expiration")
    ]


@pytest.mark.parametrize(
    ("expires_at", "expected"),
    [
        (NOW + timedelta(milliseconds=1), []),
        (NOW + timedelta(seconds=2_419_200), []),
        (NOW + timedelta(seconds=2_419_200.9), []),
        (NOW + timedelta(seconds=2_419_201), [("expires_too_late", "expires_at")]),
        (NOW, [("expired", "expires_at")]),
        (NOW - timedelta(seconds=1), [("expired", "expires_at")]),
        (datetime.max.replace(tzinfo=timezone(-timedelta(hours=5))), [("invalid_value", "expires_at")]),
        (datetime.min.replace(tzinfo=UTC), [("expired", "expires_at")]),
        (NOW.timestamp(), [("invalid_type", "expires_at")]),
        (date(2026, 3, 2), [("invalid_type", "expires_at")]),
        ("2026-03-02", [("invalid_type", "expires_at")]),
    ],
)
def test_a_time_to_live_is_zero_to_28_days(expires_at: object, expected: list[tuple[str, str]]) -> None:
    assert found(expires_at=expires_at) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, []),
        (500, []),
        (0, [("no_targets", "targets")]),
        (501, [("too_many_targets", "targets")]),
        (-1, [("invalid_type", "targets")]),
        (True, [("invalid_type", "targets")]),
        ("5", [("invalid_type", "targets")]),
    ],
)
def test_a_send_has_1_to_500_targets(count: object, expected: list[tuple[str, str]]) -> None:
    assert found(target_count=count) == expected


def test_params_of_another_type_are_refused() -> None:
    assert found({"title": "t", "body": "b"}) == [("invalid_type", "params")]
    assert found(immediate="yes") == [("invalid_type", "immediate")]


@pytest.mark.parametrize("letter", ["x", "é", "漢", "😀", '"', "\\"])
@pytest.mark.parametrize(("immediate", "expires_in"), [(False, None), (True, timedelta(days=1))])
def test_the_limit_is_4096_bytes_of_the_encoded_message(
    letter: str, immediate: bool, expires_in: timedelta | None
) -> None:
    expires_at = None if expires_in is None else NOW + expires_in
    ttl_seconds = None if expires_in is None else 2_419_200
    empty = sized(make_params(body=""), immediate=immediate, ttl_seconds=ttl_seconds)
    letter_bytes = len(json.dumps(letter, ensure_ascii=False).encode()) - 2
    fitting = (4096 - empty) // letter_bytes
    padding = "x" * (4096 - empty - fitting * letter_bytes)
    exact = make_params(body=letter * fitting + padding)
    assert sized(exact, immediate=immediate, ttl_seconds=ttl_seconds) == 4096
    assert found(exact, immediate=immediate, expires_at=expires_at) == []
    [problem] = problems_of(make_params(body=f"{exact.body}x"), immediate=immediate, expires_at=expires_at)
    assert (problem.code, problem.field) == ("payload_too_large", "params")
    assert problem.reason == "the message is 4097 bytes of JSON in UTF-8, FCM takes at most 4096"


@pytest.mark.parametrize("app", ["https://example.com", None])
def test_the_size_has_room_for_what_a_tap_opens(app: str | None) -> None:
    """Once in the data, and once more behind the longest base that a browser may be given."""
    path = "/" + "a" * 1500
    spare = 4096 - sized(make_params(body="", click_action=path), link_base=app)
    fitting = make_params(body="x" * spare, click_action=path)
    assert sized(fitting, link_base=app) == 4096
    assert found(fitting, link_base=app) == []
    assert found(replace(fitting, body="x" * (spare + 1)), link_base=app) == [("payload_too_large", "params")]


def test_a_click_action_may_be_said_twice_but_not_otherwise() -> None:
    assert found(make_params(click_action="/a", data={"click_action": "/a"})) == []
    assert found(make_params(data={"click_action": "FLUTTER_NOTIFICATION_CLICK"})) == []


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", " JavaScript:alert(1)", "java\nscript:x", "\x01data:text/html,x", "file:///a"],
)
def test_what_runs_code_is_not_taken_under_the_key_that_apps_open_either(address: str) -> None:
    assert found(make_params(data={"click_action": address})) == [
        ("invalid_click_action", "data.click_action")
    ]


def test_every_failure_is_reported_at_once() -> None:
    params = SendPushParams(
        title=None,
        body=" ",
        data={"from": "x", "n": 1, "long": "x" * 5000},  # type: ignore[dict-item]
        image_url="ftp://example.com",
        click_action="",
        category="",
        app_id="",
        outcome_policy="never",  # type: ignore[arg-type]
        android=AndroidOptions(channel_id="", priority="low", collapse_key="", sound=""),
        apns=ApnsOptions(headers={"x": "y"}, badge=-1, sound="", thread_id=""),
        webpush=WebPushOptions(link="http://example.com"),
        analytics_label="?",
    )
    fields = [problem.field for problem in problems_of(params, target_count=0, expires_at=NOW)]
    assert fields == [
        "targets",
        "expires_at",
        "title",
        "body",
        "data.from",
        "data.n",
        "image_url",
        "click_action",
        "category",
        "app_id",
        "outcome_policy",
        "android.channel_id",
        "android.priority",
        "android.collapse_key",
        "android.sound",
        "apns.headers.x",
        "apns.badge",
        "apns.sound",
        "apns.thread_id",
        "webpush.link",
        "analytics_label",
        "params",
    ]


def test_reasons_do_not_repeat_what_was_said() -> None:
    secret = "S3CRET"
    params = SendPushParams(
        title=f"{secret}\x00",
        body=f"{secret}{HALF_A_PAIR}",
        data={"code": f"{secret}\x00", "n": [secret]},  # type: ignore[dict-item]
        image_url=f"http://{secret}",
        click_action=f"{secret}\n",
        category=f"{secret} ",
        app_id=f"{secret} ",
        outcome_policy=secret,  # type: ignore[arg-type]
        android=AndroidOptions(priority=secret, channel_id=f"{secret}\n"),
        apns=ApnsOptions(headers={"apns-priority": secret, "apns-topic": f"{secret}\n"}),
        webpush=WebPushOptions(link=secret),
        analytics_label=f"{secret} ",
    )
    with pytest.raises(InvalidInputError) as refused:
        FCMParams(params=params).validate()
    assert len(refused.value.problems) == 15
    assert secret not in str(refused.value) + repr(refused.value.problems)

"""Pushes that show nothing, and how much others interrupt."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modules.device_token.types import TargetKind
from modules.notification.internals.channels.fcm.message_builder import build_message
from modules.notification.internals.channels.fcm.message_encoder import EncodedMessage
from modules.notification.types import AndroidOptions, ApnsOptions, SendPushParams, WebPushOptions
from tests.support.fcm_checks import found, problems_of
from tests.support.fcm_factories import NOTIFICATION_ID, make_params, make_payload


def silent(**over: Any) -> SendPushParams:
    return SendPushParams(**{"data": {"type": "sync"}, **over})


def message_of(params: SendPushParams, **over: Any) -> dict[str, Any]:
    body = EncodedMessage(build_message(make_payload(params=params, **over))).body_for(TargetKind.TOKEN, "a")
    message: dict[str, Any] = json.loads(body)["message"]
    del message["token"]
    return message


def test_a_silent_push_is_data_alone_and_wakes_an_iphone_in_the_background() -> None:
    assert message_of(silent()) == {
        "data": {"type": "sync"},
        "apns": {
            "headers": {
                "apns-collapse-id": NOTIFICATION_ID,
                "apns-push-type": "background",
                "apns-priority": "5",
            },
            "payload": {"aps": {"content-available": 1}},
        },
    }


def test_an_urgent_silent_push_keeps_the_priority_that_apns_asks_for() -> None:
    message = message_of(silent(), immediate=True, ttl_seconds=60)
    assert message["apns"]["headers"]["apns-priority"] == "5"
    assert message["android"] == {"priority": "high", "ttl": "60s"}
    assert message["webpush"] == {"headers": {"Urgency": "high", "TTL": "60"}}


def test_a_silent_push_passes_every_check() -> None:
    assert found(silent()) == []
    assert found(silent(), immediate=True) == []
    assert (
        found(silent(apns=ApnsOptions(headers={"apns-priority": "1", "apns-push-type": "background"}))) == []
    )
    assert found(silent(android=AndroidOptions(priority="normal", collapse_key="sync"))) == []
    assert found(silent(data={"click_action": "FLUTTER_NOTIFICATION_CLICK"})) == []


def test_what_says_nothing_to_anybody_is_refused() -> None:
    assert found(SendPushParams()) == [("required", "title"), ("required", "body")]


@pytest.mark.parametrize(("missing", "given"), [("title", "body"), ("body", "title")])
def test_half_a_text_is_no_silence(missing: str, given: str) -> None:
    assert found(silent(**{given: "Hello"})) == [("invalid_type", missing)]


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"image_url": "https://example.com/a.png"}, "image_url"),
        ({"click_action": "/a"}, "click_action"),
        ({"android": AndroidOptions(channel_id="alerts")}, "android.channel_id"),
        ({"android": AndroidOptions(sound="default")}, "android.sound"),
        ({"android": AndroidOptions(click_action="OPEN")}, "android.click_action"),
        ({"apns": ApnsOptions(badge=0)}, "apns.badge"),
        ({"apns": ApnsOptions(sound="default")}, "apns.sound"),
        ({"apns": ApnsOptions(thread_id="alerts")}, "apns.thread_id"),
        ({"apns": ApnsOptions(category="ALERT")}, "apns.category"),
        ({"apns": ApnsOptions(interruption_level="active")}, "apns.interruption_level"),
        ({"apns": ApnsOptions(headers={"apns-priority": "10"})}, "apns.headers.apns-priority"),
        ({"apns": ApnsOptions(headers={"APNS-Push-Type": "alert"})}, "apns.headers.APNS-Push-Type"),
        ({"webpush": WebPushOptions(link="https://example.com/")}, "webpush.link"),
    ],
)
def test_what_would_be_shown_or_played_is_no_part_of_a_silent_push(over: dict[str, Any], field: str) -> None:
    assert found(silent(**over)) == [("conflict", field)]


def test_all_that_a_silent_push_cannot_have_is_reported_at_once() -> None:
    params = silent(
        image_url="https://example.com/a.png",
        android=AndroidOptions(sound="default"),
        apns=ApnsOptions(badge=1, headers={"apns-priority": "10"}),
    )
    assert len(problems_of(params)) == 4


def test_the_size_of_a_silent_push_is_measured() -> None:
    assert found(silent(data={"a": "x" * 4000})) == [("payload_too_large", "params")]
    assert found(silent(data={"a": "x" * 3000})) == []
    assert found(silent(data={"a": "x" * 3000}), broadcast=True) == [("payload_too_large", "params")]


@pytest.mark.parametrize("level", ["passive", "active", "time-sensitive", "critical"])
def test_an_iphone_is_told_how_much_to_interrupt(level: str) -> None:
    params = make_params(apns=ApnsOptions(interruption_level=level))
    assert found(params) == []
    assert message_of(params)["apns"]["payload"]["aps"] == {"interruption-level": level}


def test_a_critical_alert_sounds_though_the_phone_is_muted() -> None:
    params = make_params(apns=ApnsOptions(interruption_level="critical", sound="alarm.aiff"))
    aps = message_of(params)["apns"]["payload"]["aps"]
    assert aps["sound"] == {"name": "alarm.aiff", "critical": 1, "volume": 1.0}


def test_other_alerts_sound_as_the_phone_is_set() -> None:
    params = make_params(apns=ApnsOptions(interruption_level="time-sensitive", sound="default"))
    assert message_of(params)["apns"]["payload"]["aps"]["sound"] == "default"

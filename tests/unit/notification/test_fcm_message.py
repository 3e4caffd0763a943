"""Which of our words goes where in FCM's message, and how it is put on the wire."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from firebase_admin import messaging

from modules.device_token.types import TargetKind
from modules.notification.internals.channels.fcm.message_builder import build_message
from modules.notification.internals.channels.fcm.message_encoder import ANY_TARGET, EncodedMessage
from modules.notification.types import AndroidOptions, ApnsOptions, BroadcastKind, PushPayload, WebPushOptions
from tests.support.fcm_factories import NOTIFICATION_ID, make_params, make_payload

EXPIRES_AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def encoded(payload: PushPayload, **over: Any) -> dict[str, Any]:
    body = EncodedMessage(build_message(payload, **over)).body_for(TargetKind.TOKEN, "address-1")
    message: dict[str, Any] = json.loads(body)["message"]
    assert message.pop("token") == "address-1"
    return message


def test_a_plain_push_carries_its_text_and_its_collapse_id() -> None:
    assert encoded(make_payload()) == {
        "notification": {"title": "Security Alert", "body": "New login from Chrome on Windows"},
        "android": {"notification": {"tag": NOTIFICATION_ID}},
        "apns": {"headers": {"apns-collapse-id": NOTIFICATION_ID}},
        "webpush": {"notification": {"tag": NOTIFICATION_ID}},
    }


def test_every_option_has_its_place() -> None:
    params = make_params(
        data={"type": "login_alert"},
        image_url="https://example.com/a.png",
        click_action="/alerts/7",
        android=AndroidOptions(
            channel_id="alerts", priority="normal", collapse_key="alert", sound="bell", click_action="OPEN"
        ),
        apns=ApnsOptions(
            headers={"Apns-Push-Type": "alert"},
            badge=0,
            sound="bell.aiff",
            thread_id="alerts",
            category="ALERT",
            interruption_level="time-sensitive",
        ),
        webpush=WebPushOptions(link="https://example.com/alerts"),
        analytics_label="spring",
    )
    payload = make_payload(params=params, ttl_seconds=600, expires_at=EXPIRES_AT, immediate=True)
    assert encoded(payload) == {
        "notification": {
            "title": "Security Alert",
            "body": "New login from Chrome on Windows",
            "image": "https://example.com/a.png",
        },
        "data": {"type": "login_alert", "click_action": "/alerts/7"},
        "android": {
            "collapse_key": "alert",
            "priority": "normal",
            "ttl": "600s",
            "notification": {
                "tag": NOTIFICATION_ID,
                "channel_id": "alerts",
                "sound": "bell",
                "click_action": "OPEN",
            },
        },
        "apns": {
            "headers": {
                "apns-collapse-id": NOTIFICATION_ID,
                "apns-priority": "10",
                "apns-expiration": "1772366400",
                "apns-push-type": "alert",
            },
            "payload": {
                "aps": {
                    "badge": 0,
                    "sound": "bell.aiff",
                    "thread-id": "alerts",
                    "category": "ALERT",
                    "interruption-level": "time-sensitive",
                    "mutable-content": 1,
                }
            },
        },
        "webpush": {
            "headers": {"TTL": "600", "Urgency": "high"},
            "notification": {"tag": NOTIFICATION_ID},
            "fcm_options": {"link": "https://example.com/alerts"},
        },
        "fcm_options": {"analytics_label": "spring"},
    }


def test_an_immediate_push_wakes_the_device_unless_the_caller_chose() -> None:
    urgent = encoded(make_payload(immediate=True))
    assert urgent["android"]["priority"] == "high"
    assert urgent["apns"]["headers"]["apns-priority"] == "10"
    assert urgent["webpush"]["headers"] == {"Urgency": "high"}
    params = make_params(
        android=AndroidOptions(priority="normal"), apns=ApnsOptions(headers={"APNS-Priority": "5"})
    )
    chosen = encoded(make_payload(params=params, immediate=True))
    assert chosen["android"]["priority"] == "normal"
    assert chosen["apns"]["headers"]["apns-priority"] == "5"
    assert "priority" not in encoded(make_payload())["android"]


def test_a_time_to_live_without_a_time_is_counted_from_now() -> None:
    message = encoded(make_payload(ttl_seconds=600), clock=lambda: 1_772_366_400.9)
    assert message["apns"]["headers"]["apns-expiration"] == "1772367000"


@pytest.mark.parametrize(("ttl_seconds", "text"), [(0, "0"), (2_419_200, "2419200"), (9_999_999, "2419200")])
def test_a_time_to_live_stays_within_what_fcm_takes(ttl_seconds: int, text: str) -> None:
    message = encoded(make_payload(ttl_seconds=ttl_seconds))
    assert message["android"]["ttl"] == f"{text}s"
    assert message["webpush"]["headers"]["TTL"] == text


@pytest.mark.parametrize("over", [{"ttl_seconds": -1}, {"notification_id": "x" * 65}])
def test_what_cannot_be_sent_is_not_built(over: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        build_message(make_payload(**over))


def test_the_callers_collapse_id_wins() -> None:
    params = make_params(apns=ApnsOptions(headers={"apns-collapse-id": "mine"}))
    assert encoded(make_payload(params=params))["apns"]["headers"]["apns-collapse-id"] == "mine"


@pytest.mark.parametrize(
    ("click_action", "link", "expected"),
    [
        ("https://example.com/a", None, "https://example.com/a"),
        ("https://example.com/a", "https://example.com/b", "https://example.com/b"),
        ("/appointments/1", None, None),
        ("shop://orders/7", None, None),
        (None, None, None),
    ],
)
def test_a_browser_opens_https_links_only(
    click_action: str | None, link: str | None, expected: str | None
) -> None:
    params = make_params(click_action=click_action, webpush=WebPushOptions(link=link))
    webpush = encoded(make_payload(params=params))["webpush"]
    assert webpush.get("fcm_options", {}).get("link") == expected


@pytest.mark.parametrize("click_action", ["/appointments/1", "https://example.com/a", "shop://orders/7"])
def test_a_tap_opens_the_app_which_finds_the_click_action_in_the_data(click_action: str) -> None:
    message = encoded(make_payload(params=make_params(click_action=click_action, data={"a": "b"})))
    assert message["data"] == {"a": "b", "click_action": click_action}
    assert "click_action" not in message["android"]["notification"], "an intent nobody answers opens nothing"
    assert "payload" not in message["apns"], "nor does a category that the app does not know"


def test_a_browser_opens_a_path_behind_the_base_of_its_app() -> None:
    payload = make_payload(params=make_params(click_action="/appointments/1?day=2#top"))
    for link_base in ("https://example.com/app", "https://example.com/app/"):
        webpush = encoded(payload, link_base=link_base)["webpush"]
        assert webpush["fcm_options"]["link"] == "https://example.com/app/appointments/1?day=2#top"


def test_a_row_stored_with_the_name_of_an_intent_is_sent_as_it_was_meant() -> None:
    message = encoded(make_payload(params=make_params(click_action="OPEN_APPOINTMENT")))
    assert message["android"]["notification"]["click_action"] == "OPEN_APPOINTMENT"
    assert message["apns"]["payload"]["aps"] == {"category": "OPEN_APPOINTMENT"}
    assert "data" not in message


@pytest.mark.parametrize("click_action", ["javascript:alert(1)", "data://text/html,x", "http://example.com/"])
def test_a_row_stored_with_what_may_not_be_opened_opens_the_app_and_no_more(click_action: str) -> None:
    message = json.dumps(encoded(make_payload(params=make_params(click_action=click_action))))
    assert "click_action" not in message
    assert click_action not in message


def test_a_row_stored_with_a_click_action_in_its_data_keeps_that() -> None:
    params = make_params(click_action="/a", data={"click_action": "FLUTTER_NOTIFICATION_CLICK"})
    assert encoded(make_payload(params=params))["data"] == {"click_action": "FLUTTER_NOTIFICATION_CLICK"}


def test_nothing_else_is_added_to_the_callers_data() -> None:
    params = make_params(data={"a": "b"}, image_url="https://example.com/a.png")
    assert encoded(make_payload(params=params, immediate=True, ttl_seconds=5))["data"] == {"a": "b"}


@pytest.mark.parametrize("address", ["address-1", 'a"b\\c', "ключ", "a\nb", "\ud800"])
def test_any_address_is_put_into_the_body_as_it_is(address: str) -> None:
    message = EncodedMessage(build_message(make_payload()))
    for member in (TargetKind.TOKEN, TargetKind.FID):
        document = json.loads(message.body_for(member, address))
        assert document["message"][member] == address
        assert document.keys() == {"message"}


def test_a_dry_run_says_so_beside_the_message() -> None:
    message = EncodedMessage(build_message(make_payload()), validate_only=True)
    document = json.loads(message.body_for(BroadcastKind.TOPIC, "news"))
    assert document["validate_only"] is True
    assert document["message"]["topic"] == "news"


def test_data_that_looks_like_a_target_stays_data() -> None:
    params = make_params(data={"fid": "x", "token": "y", "topic": "z"}, title='"fid": "x"')
    message = encoded(make_payload(params=params))
    assert message["data"] == {"fid": "x", "token": "y", "topic": "z"}
    assert message["notification"]["title"] == '"fid": "x"'


def test_the_size_is_that_of_compact_json_in_utf8_without_the_target() -> None:
    message = EncodedMessage(messaging.Message(data={"é": "😀"}, fid=ANY_TARGET))
    assert message.size_bytes() == len('{"data":{"é":"😀"}}'.encode())
    assert not message.is_surely_within(message.size_bytes())
    assert message.is_surely_within(100)


def test_a_message_for_somebody_else_is_not_taken() -> None:
    with pytest.raises(ValueError, match="ANY_TARGET"):
        EncodedMessage(messaging.Message(fid="somebody"))


def test_what_firebase_admin_refuses_is_refused() -> None:
    with pytest.raises(ValueError, match="priority"):
        EncodedMessage(messaging.Message(fid=ANY_TARGET, android=messaging.AndroidConfig(priority="urgent")))

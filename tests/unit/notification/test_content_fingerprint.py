"""An idempotency key may be repeated across an upgrade: what was recorded before still counts as the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from modules.notification.internals.push_notification_writer import content_fingerprint, new_row
from modules.notification.internals.store.push_notification_model import PushNotificationModel
from modules.notification.types import AndroidOptions, ApnsOptions, WebPushOptions
from tests.support.push_rows import make_push

NOW = datetime(2026, 3, 1, tzinfo=UTC)
EVERYTHING = {
    "data": {"a": "b"},
    "android": AndroidOptions(channel_id="c", priority="high", collapse_key="k", sound="bell"),
    "apns": ApnsOptions(headers={"apns-priority": "5"}, badge=1, sound="bell.aiff", thread_id="t"),
    "webpush": WebPushOptions(link="https://example.com/"),
    "analytics_label": "spring",
}


@pytest.mark.parametrize(
    ("content", "fingerprint"),
    [
        ({}, "07ed8d9a5f805a94dc7a6b9b7dbd13ae46f0ff4b4af6d6626374f022540081e4"),
        (
            {
                "data": {"type": "appointment"},
                "click_action": "/appointments/appt123",
                "image_url": "https://example.com/a.png",
            },
            "bbc16ff6c0b0f2f06a5cc8e0c7957becf8394360ef3d81da53370e3996a91415",
        ),
        (EVERYTHING, "c985b1f08e46f3205d40c615e7ac7e8f92dd19ea13f76d7492392847fc3fe80e"),
    ],
)
def test_what_could_be_said_before_has_the_fingerprint_of_before(
    content: dict[str, Any], fingerprint: str
) -> None:
    """The fingerprints are those that release 0.1.0 recorded."""
    assert content_fingerprint(make_push(**content)) == fingerprint


def test_what_could_be_said_before_is_stored_as_before() -> None:
    options = new_row(make_push(**EVERYTHING), NOW).to_document()["options"]
    assert options == {
        "android": {"channel_id": "c", "priority": "high", "collapse_key": "k", "sound": "bell"},
        "apns": {"headers": {"apns-priority": "5"}, "badge": 1, "sound": "bell.aiff", "thread_id": "t"},
        "webpush": {"link": "https://example.com/"},
        "analytics_label": "spring",
    }


@pytest.mark.parametrize(
    "said",
    [
        {"title": None, "body": None, "data": {"a": "b"}},
        {"android": AndroidOptions(click_action="OPEN")},
        {"apns": ApnsOptions(category="ALERT")},
        {"apns": ApnsOptions(interruption_level="passive")},
        {"apns": ApnsOptions(interruption_level="active")},
    ],
)
def test_what_is_new_makes_a_difference_and_is_read_as_it_was_said(said: dict[str, Any]) -> None:
    push = make_push(**said)
    assert content_fingerprint(push) != content_fingerprint(make_push())
    others = [
        make_push(apns=ApnsOptions(interruption_level=level)) for level in ("critical", "time-sensitive")
    ]
    assert content_fingerprint(push) not in map(content_fingerprint, others)
    assert new_row(push, NOW).to_params() == push.params


def test_a_row_with_an_option_of_a_later_release_is_not_read() -> None:
    document = new_row(make_push(), NOW).to_document()
    document["options"]["apns"]["relevance_score"] = "1"
    with pytest.raises(ValueError, match=r"options\.apns\.relevance_score"):
        PushNotificationModel.model_validate(document)


def test_a_row_without_options_is_read() -> None:
    document = new_row(make_push(), NOW).to_document()
    del document["options"]
    assert PushNotificationModel.model_validate(document).to_params() == replace(make_push().params)

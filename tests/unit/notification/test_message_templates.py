"""What is encoded once for many holds nothing of anybody else's content."""

from __future__ import annotations

import json
from typing import Any

from modules.notification.internals.channels.fcm.message_templates import MessageTemplates
from modules.notification.types import BroadcastKind, PushPayload
from tests.support.fcm_factories import make_params, make_payload


def message_of(templates: MessageTemplates, payload: PushPayload) -> dict[str, Any]:
    body = templates.encoded(payload).body_for(BroadcastKind.TOPIC, "news", payload.notification_id)
    message: dict[str, Any] = json.loads(body)["message"]
    return message


def test_messages_without_a_content_key_keep_their_own_content() -> None:
    templates = MessageTemplates()
    titles = [
        message_of(templates, make_payload(params=make_params(title=title)))["notification"]["title"]
        for title in ("first", "second")
    ]
    assert titles == ["first", "second"]


def test_messages_of_one_content_key_are_encoded_once_and_keep_their_ids() -> None:
    templates = MessageTemplates()
    payloads = [make_payload(content_key="k", notification_id=id_) for id_ in ("one", "two")]
    assert templates.encoded(payloads[0]) is templates.encoded(payloads[1])
    tags = [message_of(templates, payload)["android"]["notification"]["tag"] for payload in payloads]
    assert tags == ["one", "two"]


def test_what_a_content_key_does_not_cover_is_not_shared() -> None:
    templates = MessageTemplates()
    first = templates.encoded(make_payload(content_key="k", ttl_seconds=60))
    assert templates.encoded(make_payload(content_key="k", ttl_seconds=61)) is not first
    assert templates.encoded(make_payload(content_key="k", ttl_seconds=60, immediate=True)) is not first

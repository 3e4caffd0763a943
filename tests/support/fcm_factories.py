"""Targets and payloads with sensible contents, of which a test names only what it is about."""

from __future__ import annotations

from typing import Any

from modules.device_token.types import Platform, TargetKind
from modules.notification.types import PushPayload, PushTarget, SendPushParams

NOTIFICATION_ID = "65f1c0ffee65f1c0ffee65f1"


def make_target(number: int = 1, **over: Any) -> PushTarget:
    target: dict[str, Any] = {
        "device_id": f"device-{number}",
        "app_id": "default",
        "kind": TargetKind.TOKEN,
        "platform": Platform.ANDROID,
        "address": f"address-{number}",
    }
    return PushTarget(**{**target, **over})


def make_targets(count: int, **over: Any) -> list[PushTarget]:
    return [make_target(number, **over) for number in range(1, count + 1)]


def make_params(**over: Any) -> SendPushParams:
    return SendPushParams(**{"title": "Security Alert", "body": "New login from Chrome on Windows", **over})


def make_payload(**over: Any) -> PushPayload:
    return PushPayload(**{"notification_id": NOTIFICATION_ID, "params": make_params(), **over})

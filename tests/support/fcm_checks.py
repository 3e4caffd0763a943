"""What the FCM check finds wrong with a push, and how large one is on the wire."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from modules.application.errors import InvalidInputError, Problem
from modules.notification.internals.channels.fcm.message_builder import build_message
from modules.notification.internals.channels.fcm.message_encoder import EncodedMessage
from modules.notification.internals.fcm_params import FCMParams
from modules.notification.types import (
    BroadcastKind,
    PushPayload,
    SendPushParams,
)
from tests.support.fcm_factories import make_params

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HALF_A_PAIR = "\ud83d"


def problems_of(params: Any = None, **over: Any) -> list[Problem]:
    checked = FCMParams(params=make_params() if params is None else params, **{"now": NOW, **over})
    try:
        checked.validate()
    except InvalidInputError as refused:
        return list(refused.problems)
    return []


def found(params: Any = None, **over: Any) -> list[tuple[str, str | None]]:
    return [(problem.code, problem.field) for problem in problems_of(params, **over)]


def sized(
    params: SendPushParams,
    *,
    immediate: bool = False,
    ttl_seconds: int | None = None,
    link_base: str | None = None,
) -> int:
    payload = PushPayload(
        notification_id="0" * 36, params=params, immediate=immediate, ttl_seconds=ttl_seconds
    )
    encoded = EncodedMessage(build_message(payload, link_base=link_base))
    message = json.loads(encoded.body_for(BroadcastKind.TOPIC, "t"))["message"]
    del message["topic"]
    return len(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode())

"""Reads the body of messages:send and refuses what FCM refuses; the only place that knows FCM's limits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from simulator.exchange import Answer
from simulator.fcm_errors import FieldViolation, refused_argument, unreadable_request
from simulator.message_schema import TARGET_KINDS
from simulator.message_shape import find_violations

# https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode, INVALID_ARGUMENT
MAX_MESSAGE_BYTES = 4096
MAX_TOPIC_MESSAGE_BYTES = 2048
MAX_TTL_SECONDS = 2_419_200

_RESERVED_KEYS = frozenset({"from", "notification", "message_type"})
_RESERVED_PREFIXES = ("google.", "gcm.")
_TOPIC = re.compile(r"[a-zA-Z0-9_.~%-]+")
_DEVICE = re.compile(r"[!-~]+")
_COMPACT = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


class RefusedRequestError(Exception):
    """The body is not taken; `answer` says why, as FCM does."""

    def __init__(self, answer: Answer, target: str = "") -> None:
        super().__init__(answer.body.decode())
        self.answer = answer
        self.target = target


@dataclass(frozen=True, slots=True)
class SendRequest:
    """What one accepted body asks for. `kind` is token, fid, topic or condition."""

    message: Mapping[str, Any]
    kind: str
    target: str
    validate_only: bool
    size_bytes: int


def parse_send_request(body: bytes) -> SendRequest:
    """Raise RefusedRequestError with FCM's answer for what FCM would refuse whatever the target."""
    request = _parse_json(body)
    violations = find_violations(request)
    if violations:
        raise RefusedRequestError(unreadable_request(_joined(violations), violations))
    message = request.get("message")
    kind, target = _target_of(message)
    size = encoded_size(message)
    limit = MAX_TOPIC_MESSAGE_BYTES if kind in {"topic", "condition"} else MAX_MESSAGE_BYTES
    if size > limit:
        violation = FieldViolation("message", f"The message has {size} bytes, {limit} are allowed")
        raise RefusedRequestError(refused_argument("Android message is too big", [violation]), target)
    violations = [*_target_violations(kind, target), *_content_violations(message)]
    if violations:
        raise RefusedRequestError(refused_argument(_joined(violations), violations), target)
    validate_only = bool(request.get("validate_only") or request.get("validateOnly"))
    return SendRequest(message, kind, target, validate_only, size)


def encoded_size(message: Mapping[str, Any]) -> int:
    """The size that FCM's limits are held against, in bytes.

    Here: the UTF-8 length of the compact JSON of the `message` object without its token, fid, topic or
    condition. FCM's documentation does not say how it counts; it speaks of the payload's keys and values.
    """
    payload = {name: value for name, value in message.items() if name not in TARGET_KINDS}
    return len(_COMPACT.encode(payload).encode())


def _parse_json(body: bytes) -> Any:
    try:
        request = json.loads(body.decode(), parse_constant=_refuse_constant)
        if b"\\u" in body:
            # Escaped halves of surrogate pairs pass the parser and have no UTF-8.
            _COMPACT.encode(request).encode()
    except (ValueError, RecursionError) as error:
        text = f"Invalid JSON payload received. {error}"
        raise RefusedRequestError(unreadable_request(text, [FieldViolation("", text)])) from None
    return request


def _refuse_constant(name: str) -> None:
    raise ValueError(f"Unexpected token: {name}")


def _target_of(message: Any) -> tuple[str, str]:
    named = [kind for kind in TARGET_KINDS if (message or {}).get(kind) is not None]
    if not named:
        text = "Recipient of the message is not set."
        raise RefusedRequestError(refused_argument(text, [FieldViolation("message", text)]))
    if len(named) > 1:
        text = "Invalid value at 'message' (oneof), oneof field 'target' is already set. Cannot set"
        violations = [FieldViolation("message", f"{text} '{kind}'") for kind in named[1:]]
        raise RefusedRequestError(refused_argument(_joined(violations), violations))
    return named[0], message[named[0]]


def _target_violations(kind: str, target: str) -> Iterator[FieldViolation]:
    if kind == "topic" and not _TOPIC.fullmatch(target):
        yield FieldViolation("message.topic", "Malformed topic name")
    elif kind == "condition" and not target.strip():
        yield FieldViolation("message.condition", "Invalid condition expression provided.")
    elif kind in {"token", "fid"} and not _DEVICE.fullmatch(target):
        text = "The registration token is not a valid FCM registration token"
        yield FieldViolation(f"message.{kind}", text)


def _content_violations(message: Mapping[str, Any]) -> Iterator[FieldViolation]:
    for path in ("data", "android", "android_v2", "androidV2", "webpush"):
        content = message.get(path)
        if content is None:
            continue
        where = "message.data" if path == "data" else f"message.{path}.data"
        for key in (content if path == "data" else content.get("data")) or {}:
            if key in _RESERVED_KEYS or key.startswith(_RESERVED_PREFIXES):
                yield FieldViolation(where, f"Invalid data payload key: {key}")
        if path.startswith("android"):
            yield from _ttl_violations(content.get("ttl"), f"message.{path}.ttl")
        elif path == "webpush":
            options = content.get("fcm_options") or content.get("fcmOptions") or {}
            link = options.get("link")
            if link is not None and not link.startswith("https://"):
                yield FieldViolation("message.webpush.fcm_options.link", "Invalid URL: HTTPS is required")


def _ttl_violations(ttl: str | None, where: str) -> Iterator[FieldViolation]:
    if ttl is not None and not 0 <= float(ttl.removesuffix("s")) <= MAX_TTL_SECONDS:
        text = f"Invalid TTL {ttl}: it must lie between 0s and {MAX_TTL_SECONDS}s"
        yield FieldViolation(where, text)


def _joined(violations: list[FieldViolation]) -> str:
    return "\n".join(violation.description for violation in violations)

"""Checks a push against FCM's rules before anything is written or sent, and reports every failure at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from modules.application.param_rules import ProblemList, app_id_problems, is_encodable, member_path
from modules.notification.internals.channels.fcm.click_target import check_click_action
from modules.notification.internals.channels.fcm.message_builder import (
    MAX_COLLAPSE_ID_BYTES,
    MAX_TTL_SECONDS,
    build_message,
)
from modules.notification.internals.channels.fcm.message_encoder import EncodedMessage
from modules.notification.internals.channels.fcm.silent_rules import check_silence, check_text
from modules.notification.internals.channels.port import MAX_TARGETS
from modules.notification.internals.domain.expiry import resolve_expiry
from modules.notification.types import (
    AndroidOptions,
    ApnsOptions,
    OutcomePolicy,
    PushPayload,
    SendPushParams,
    WebPushOptions,
)
from modules.preference.types import category_problems

# FCM HTTP v1: "Message.data", "AndroidConfig.ttl".
MAX_MESSAGE_BYTES = 4096
# Firebase, "Send messages to topics": half of what a message to devices may take.
MAX_BROADCAST_BYTES = 2048
MAX_BADGE = 2**31 - 1
NOTIFICATION_ID_LENGTH = 36

_RESERVED_KEYS = frozenset({"from", "notification", "message_type"})
_RESERVED_PREFIXES = ("google.", "gcm.")
_ANDROID_PRIORITIES = ("normal", "high")
_APNS_PRIORITIES = ("1", "5", "10")
# Apple, "Generating a remote notification", interruption-level.
INTERRUPTION_LEVELS = ("passive", "active", "time-sensitive", "critical")
_ANALYTICS_LABEL = re.compile(r"[a-zA-Z0-9\-_.~%]{1,50}")
_APNS_HEADER = re.compile(r"apns-[a-z-]{1,40}")
_APNS_HEADER_VALUE = re.compile(r"[!-~]([ -~]{0,254}[!-~])?")
_EPOCH_SECONDS = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FCMParams:
    """A push about to be written or sent; `validate()` raises InvalidInputError with all that is wrong.

    It expires at `expires_at`, without a time zone this host's local time, or `expires_in` after `now`.
    `target_count` None: not known yet. `now` is the time to judge by, this host's unless given. `broadcast`:
    it goes to a topic or condition. `link_base` is the longest that a path may be put behind.
    """

    params: SendPushParams
    immediate: bool = False
    expires_at: datetime | None = None
    expires_in: timedelta | None = None
    target_count: int | None = None
    now: datetime | None = None
    broadcast: bool = False
    link_base: str | None = None

    def validate(self) -> None:
        """Raise InvalidInputError with all `problems`, if there are any."""
        self.problems().refuse()

    def problems(self) -> ProblemList:
        """Why FCM would not take this push as it will be encoded; nothing where it would.

        The reasons carry no content. The size is that of the message object without its target as compact
        JSON in UTF-8, with an id of 36 characters and the longest time to live.
        """
        problems = ProblemList()
        check_target_count(self.target_count, problems)
        now = self.now or datetime.now(UTC)
        resolve_expiry(self.expires_at, self.expires_in, now=now, problems=problems)
        if not isinstance(self.immediate, bool):
            problems.add("invalid_type", "immediate", "must be true or false")
        if not isinstance(self.params, SendPushParams):
            problems.add("invalid_type", "params", "must be SendPushParams")
        else:
            usable = _check_params(self.params, self._has_expiry(), problems)
            self._check_size(usable, problems)
        return problems

    def _has_expiry(self) -> bool:
        return self.expires_at is not None or self.expires_in is not None

    def _check_size(self, usable: SendPushParams, problems: ProblemList) -> None:
        try:
            size = message_size_bytes(
                usable,
                immediate=bool(self.immediate),
                has_expiry=self._has_expiry(),
                link_base=self.link_base,
            )
        except ValueError:
            # The rules above are meant to be stricter than firebase-admin's; where not, it has the last word.
            if not problems:
                problems.add("not_encodable", "params", "firebase-admin refuses to encode this message")
            return
        limit_bytes = MAX_BROADCAST_BYTES if self.broadcast else MAX_MESSAGE_BYTES
        if size > limit_bytes:
            reason = f"the message is {size} bytes of JSON in UTF-8, FCM takes at most {limit_bytes}"
            problems.add("payload_too_large", "params", reason)


def check_target_count(count: object, problems: ProblemList) -> None:
    """Note a number of targets that one send cannot have; None passes."""
    if count is None:
        return
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        problems.add("invalid_type", "targets", "must be a number of targets")
    elif count == 0:
        problems.add("no_targets", "targets", "there is no device to send to")
    elif count > MAX_TARGETS:
        problems.add(
            "too_many_targets", "targets", f"one send takes at most {MAX_TARGETS} targets, not {count}"
        )


def _check_params(params: SendPushParams, has_expiry: bool, problems: ProblemList) -> SendPushParams:
    """Note everything wrong with the parts; returns what of them can be put into a message, to measure it."""
    title, body = check_text(params, problems)
    data = _check_data(params.data, problems)
    image_url = problems.https_url(params.image_url, "image_url")
    click_action = check_click_action(params.click_action, data, problems)
    problems.extend(category_problems(params.category))
    if params.app_id is not None:
        problems.extend(app_id_problems(params.app_id, field="app_id"))
    if not isinstance(params.outcome_policy, OutcomePolicy):
        problems.add("invalid_type", "outcome_policy", "must be an OutcomePolicy")
    usable = SendPushParams(
        title=None if params.is_silent else title or "",
        body=None if params.is_silent else body or "",
        data=data,
        image_url=image_url,
        click_action=click_action,
        android=_check_android(params.android, problems),
        apns=_check_apns(params.apns, has_expiry, problems),
        webpush=_check_webpush(params.webpush, problems),
        analytics_label=problems.matching(
            params.analytics_label,
            "analytics_label",
            _ANALYTICS_LABEL,
            "1 to 50 of a-z, A-Z, 0-9 and - _ . ~ %",
        ),
    )
    check_silence(params, problems)
    return usable


def _check_data(data: object, problems: ProblemList) -> dict[str, str]:
    if not isinstance(data, Mapping):
        problems.add("invalid_type", "data", "must be a mapping of strings to strings")
        return {}
    usable: dict[str, str] = {}
    for key, value in data.items():
        if not isinstance(key, str):
            problems.add("invalid_type", "data", "keys must be strings")
            continue
        field = member_path("data", key)
        if not key or not is_encodable(key) or not key.isprintable():
            problems.add("invalid_key", field, "a key must have printable characters")
        elif key in _RESERVED_KEYS or key.startswith(_RESERVED_PREFIXES):
            problems.add("reserved_key", field, "FCM keeps this key for itself")
        elif key.startswith("$"):
            # pymongo reads {"$ref": …, "$id": …} back as a DBRef, not as what was written.
            problems.add("reserved_key", field, "MongoDB keeps keys that begin with $ for itself")
        text = problems.text(value, field)
        if text is not None and is_encodable(key):
            usable[key] = text
    return usable


def _check_android(options: object, problems: ProblemList) -> AndroidOptions:
    if not isinstance(options, AndroidOptions):
        problems.add("invalid_type", "android", "must be AndroidOptions")
        return AndroidOptions()
    return AndroidOptions(
        channel_id=problems.name(options.channel_id, "android.channel_id"),
        priority=problems.choice(options.priority, "android.priority", _ANDROID_PRIORITIES),
        collapse_key=problems.name(options.collapse_key, "android.collapse_key"),
        sound=problems.name(options.sound, "android.sound"),
        click_action=problems.name(options.click_action, "android.click_action"),
    )


def _check_apns(options: object, has_expiry: bool, problems: ProblemList) -> ApnsOptions:
    if not isinstance(options, ApnsOptions):
        problems.add("invalid_type", "apns", "must be ApnsOptions")
        return ApnsOptions()
    level = problems.choice(options.interruption_level, "apns.interruption_level", INTERRUPTION_LEVELS)
    if level == "passive" and options.sound is not None:
        problems.add("conflict", "apns.sound", "a passive notification plays no sound")
    return ApnsOptions(
        headers=_check_apns_headers(options.headers, has_expiry, problems),
        badge=problems.whole_number(options.badge, "apns.badge", maximum=MAX_BADGE),
        sound=problems.name(options.sound, "apns.sound"),
        thread_id=problems.name(options.thread_id, "apns.thread_id"),
        category=problems.name(options.category, "apns.category"),
        interruption_level=level,
    )


def _check_apns_headers(headers: object, has_expiry: bool, problems: ProblemList) -> dict[str, str]:
    if not isinstance(headers, Mapping):
        problems.add("invalid_type", "apns.headers", "must be a mapping of strings to strings")
        return {}
    usable: dict[str, str] = {}
    for key, value in headers.items():
        if not isinstance(key, str):
            problems.add("invalid_type", "apns.headers", "names must be strings")
            continue
        field, name = member_path("apns.headers", key), key.lower()
        if not _APNS_HEADER.fullmatch(name):
            problems.add("invalid_key", field, "must be the name of an APNs header (apns-…)")
        elif name in usable:
            problems.add("duplicate_key", field, "is given twice, in other letters")
        else:
            text = problems.matching(value, field, _APNS_HEADER_VALUE, "1 to 256 printable ASCII characters")
            if text is not None:
                usable[name] = text
                _check_apns_value(name, text, field, has_expiry, problems)
    return usable


def _check_apns_value(name: str, value: str, field: str, has_expiry: bool, problems: ProblemList) -> None:
    if name == "apns-priority":
        problems.choice(value, field, _APNS_PRIORITIES)
    elif name == "apns-collapse-id" and len(value) > MAX_COLLAPSE_ID_BYTES:
        problems.add("invalid_value", field, f"APNs takes at most {MAX_COLLAPSE_ID_BYTES} bytes")
    elif name == "apns-expiration":
        problems.matching(value, field, _EPOCH_SECONDS, "seconds since 1970")
        if has_expiry:
            problems.add("conflict", field, "expires_at says the same; give one of them")


def _check_webpush(options: object, problems: ProblemList) -> WebPushOptions:
    if not isinstance(options, WebPushOptions):
        problems.add("invalid_type", "webpush", "must be WebPushOptions")
        return WebPushOptions()
    return WebPushOptions(link=problems.https_url(options.link, "webpush.link"))


def message_size_bytes(
    params: SendPushParams, *, immediate: bool, has_expiry: bool, link_base: str | None
) -> int:
    """What FCM's limit is about, as `FCMParams.validate` has it; ValueError for what cannot be encoded."""
    payload = PushPayload(
        notification_id="0" * NOTIFICATION_ID_LENGTH,
        content_key="",
        params=params,
        ttl_seconds=MAX_TTL_SECONDS if has_expiry else None,
        immediate=immediate,
    )
    return EncodedMessage(build_message(payload, link_base=link_base)).size_bytes()

"""The fields of a SendMessageRequest and their types, as data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto


class Scalar(Enum):
    """Types that hold no further fields of the schema; maps and free-form objects count as such."""

    STRING = auto()
    BOOLEAN = auto()
    INTEGER = auto()
    NUMBER = auto()
    DURATION = auto()
    TIMESTAMP = auto()
    STRING_MAP = auto()
    OBJECT = auto()


@dataclass(frozen=True, slots=True)
class Enumeration:
    """A proto enum; FCM reads its values in any case (firebase-admin sends `high`)."""

    type_name: str
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Repeated:
    """A list of one scalar type."""

    of: Scalar


@dataclass(frozen=True, slots=True)
class Record:
    """A message with known fields, each under its proto name and its JSON name."""

    fields: dict[str, FieldType]


FieldType = Scalar | Enumeration | Repeated | Record


def _record(**fields: FieldType) -> Record:
    both = dict(fields)
    for name, kind in fields.items():
        both[re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)] = kind
    return Record(both)


def _all(kind: FieldType, names: str) -> dict[str, FieldType]:
    return dict.fromkeys(names.split(), kind)


def _enumeration(name: str, values: Iterable[str]) -> Enumeration:
    return Enumeration(f"type.googleapis.com/google.firebase.fcm.v1.{name}", frozenset(values))


_LABEL = _record(analytics_label=Scalar.STRING)

_LIGHT_SETTINGS = _record(
    color=_record(**_all(Scalar.NUMBER, "red green blue alpha")),
    **_all(Scalar.DURATION, "light_on_duration light_off_duration"),
)

_ANDROID_NOTIFICATION = _record(
    **_all(
        Scalar.STRING,
        "title body icon color sound tag click_action body_loc_key title_loc_key channel_id ticker image",
    ),
    **_all(
        Scalar.BOOLEAN,
        "sticky local_only default_sound default_vibrate_timings default_light_settings"
        " bypass_proxy_notification",
    ),
    **_all(Repeated(Scalar.STRING), "body_loc_args title_loc_args"),
    event_time=Scalar.TIMESTAMP,
    notification_count=Scalar.INTEGER,
    vibrate_timings=Repeated(Scalar.DURATION),
    light_settings=_LIGHT_SETTINGS,
    notification_priority=_enumeration(
        "AndroidNotification.NotificationPriority",
        (f"PRIORITY_{level}" for level in ("UNSPECIFIED", "MIN", "LOW", "DEFAULT", "HIGH", "MAX")),
    ),
    visibility=_enumeration(
        "AndroidNotification.Visibility", ("VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET")
    ),
    proxy=_enumeration(
        "AndroidNotification.Proxy", ("PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED")
    ),
)

_ANDROID_COMMON: dict[str, FieldType] = {
    **_all(Scalar.STRING, "collapse_key restricted_package_name"),
    **_all(Scalar.BOOLEAN, "direct_boot_ok bandwidth_constrained_ok restricted_satellite_ok"),
    "data": Scalar.STRING_MAP,
    "ttl": Scalar.DURATION,
    "fcm_options": _LABEL,
}

_ANDROID = _record(
    **_ANDROID_COMMON,
    priority=_enumeration("AndroidMessagePriority", ("NORMAL", "HIGH")),
    notification=_ANDROID_NOTIFICATION,
)

_ANDROID_V2 = _record(**_ANDROID_COMMON, **_all(Scalar.OBJECT, "remote_notification background_sync"))

_APNS = _record(
    headers=Scalar.STRING_MAP,
    payload=Scalar.OBJECT,
    fcm_options=_record(**_all(Scalar.STRING, "analytics_label image")),
    live_activity_token=Scalar.STRING,
)

_WEBPUSH = _record(
    headers=Scalar.STRING_MAP,
    data=Scalar.STRING_MAP,
    notification=Scalar.OBJECT,
    fcm_options=_record(**_all(Scalar.STRING, "link analytics_label")),
)

TARGET_KINDS = ("token", "fid", "topic", "condition")

_MESSAGE = _record(
    **_all(Scalar.STRING, "name token fid topic condition"),
    data=Scalar.STRING_MAP,
    notification=_record(**_all(Scalar.STRING, "title body image")),
    android=_ANDROID,
    android_v2=_ANDROID_V2,
    apns=_APNS,
    webpush=_WEBPUSH,
    fcm_options=_LABEL,
)

# https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages and …/projects.messages/send
SEND_REQUEST = _record(message=_MESSAGE, validate_only=Scalar.BOOLEAN)

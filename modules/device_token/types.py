"""The words of the device_token module: where an account can be reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

# The most active devices an account may have, whatever the setting. What a row records of them is part of
# one document of at most 16 MB (MongoDB, "MongoDB Limits"), at most 9 KB a device (its address twice).
MAX_DEVICES = 1_000
# The most devices one page of a listing has.
MAX_LISTED_DEVICES = 500
DEFAULT_INACTIVE_DAYS = 270.0
# The most accounts one page of an audience has.
MAX_ACCOUNTS = 1_000


class Platform(StrEnum):
    ANDROID = "android"
    IOS = "ios"
    WEB = "web"


class TargetKind(StrEnum):
    """What kind of address a device has at FCM: a registration token or a Firebase installation id."""

    TOKEN = "token"  # noqa: S105 - a kind of address, no credential
    FID = "fid"


class DeviceState(StrEnum):
    """Whether a device is sent to.

    An inactive one comes back when its app registers it again; a quarantined one also when it is reinstated.
    """

    ACTIVE = "active"
    INACTIVE = "inactive"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One app on one device of an account. `address` is a secret and stays out of `repr`.

    `version` rises with every change, so that what was learned about one is not held against the next.
    `registered_at` is when this account got the address, `last_seen_at` when the app last registered it; all
    times are the database's, aware and UTC. `state_reason` is a code, None while active.
    """

    id: str
    account_id: str
    app_id: str
    platform: Platform
    kind: TargetKind
    address: str = field(repr=False)
    state: DeviceState
    state_reason: str | None
    state_changed_at: datetime
    registered_at: datetime
    last_seen_at: datetime
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCriteria:
    """What has to hold for one active device of an account; an empty or absent one asks for nothing.

    The device was seen after `last_seen_after` and before `last_seen_before`, both aware.
    """

    platforms: tuple[Platform, ...] = ()
    app_id: str | None = None
    last_seen_after: datetime | None = None
    last_seen_before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRetirement:
    """A device to take out of use, as it was when the provider answered with `code`.

    `version` is that of the Device the message went to, `state` inactive or quarantined.
    """

    device_id: str
    version: int
    state: DeviceState
    code: str

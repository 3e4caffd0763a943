"""Checks what callers say about devices and reports every failure at once, never repeating an address."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from modules.account.types import account_id_problems
from modules.application.errors import InvalidInputError, Problem
from modules.application.param_rules import app_id_problems
from modules.device_token.types import (
    MAX_ACCOUNTS,
    MAX_DEVICES,
    MAX_LISTED_DEVICES,
    DeviceCriteria,
    DeviceRetirement,
    DeviceState,
    Platform,
    TargetKind,
)

ADDRESS_MAX_LENGTH = 4096
CODE_MAX_LENGTH = 128
_PRINTABLE_ASCII = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRegistration:
    """What an app says when it registers a device; `address` is a secret and stays out of `repr`."""

    account_id: str
    app_id: str
    platform: Platform
    kind: TargetKind
    address: str = field(repr=False)

    def checked(self) -> DeviceRegistration:
        """The same with real enums; raises InvalidInputError with all problems."""
        _refuse(
            account_id_problems(self.account_id),
            app_id_problems(self.app_id),
            _enum_problems(Platform, self.platform, "platform"),
            _enum_problems(TargetKind, self.kind, "kind"),
            _address_problems(self.address),
        )
        return DeviceRegistration(
            account_id=self.account_id,
            app_id=self.app_id,
            platform=Platform(self.platform),
            kind=TargetKind(self.kind),
            address=self.address,
        )


def check_account(account_id: object) -> None:
    _refuse(account_id_problems(account_id))


def check_device(*, account_id: object, device_id: object) -> None:
    _refuse(account_id_problems(account_id), _device_id_problems(device_id))


def check_device_id(device_id: object) -> None:
    _refuse(_device_id_problems(device_id))


def check_retirements(retirements: Sequence[DeviceRetirement]) -> None:
    for each in retirements:
        check_dead_target(device_id=each.device_id, version=each.version, code=each.code)
        if each.state not in (DeviceState.INACTIVE, DeviceState.QUARANTINED):
            _refuse([Problem("invalid_state", "state", "must be inactive or quarantined")])


def check_dead_target(*, device_id: object, version: object, code: object) -> None:
    problems: list[Problem] = []
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        problems.append(Problem("invalid_version", "version", "must be the version of the device sent to"))
    if not isinstance(code, str) or not 1 <= len(code) <= CODE_MAX_LENGTH or not code.isprintable():
        reason = f"must be 1 to {CODE_MAX_LENGTH} printable characters"
        problems.append(Problem("invalid_code", "code", reason))
    _refuse(_device_id_problems(device_id), problems)


def check_listing(
    *, account_id: object, include_inactive: object, after_device_id: object, limit: object
) -> None:
    problems: list[Problem] = []
    if not isinstance(include_inactive, bool):
        problems.append(Problem("invalid_flag", "include_inactive", "must be true or false"))
    if after_device_id is not None:
        problems += _device_id_problems(after_device_id, "after_device_id")
    _refuse(account_id_problems(account_id), problems, _limit_problems(limit, most=MAX_LISTED_DEVICES))


def check_lookup(*, account_id: object, app_id: object, limit: object) -> None:
    _refuse(account_id_problems(account_id), _optional_app_id_problems(app_id), _limit_problems(limit))


def check_bulk_lookup(*, account_ids: object, app_id: object, limit: object) -> None:
    _refuse(_account_ids_problems(account_ids), _optional_app_id_problems(app_id), _limit_problems(limit))


def check_audience(*, criteria: DeviceCriteria, after_account_id: object, limit: object) -> None:
    problems = _criteria_problems(criteria)
    if after_account_id is not None:
        problems += account_id_problems(after_account_id, field="after_account_id")
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MAX_ACCOUNTS:
        problems.append(Problem("invalid_limit", "limit", f"must be a whole number from 1 to {MAX_ACCOUNTS}"))
    _refuse(problems)


def _criteria_problems(criteria: DeviceCriteria) -> list[Problem]:
    problems = _optional_app_id_problems(criteria.app_id)
    if not isinstance(criteria.platforms, tuple):
        problems.append(Problem("invalid_platforms", "platforms", "must be a tuple of platforms"))
    else:
        for platform in criteria.platforms:
            problems += _enum_problems(Platform, platform, "platform")
    for name in ("last_seen_after", "last_seen_before"):
        moment = getattr(criteria, name)
        if moment is not None and (not isinstance(moment, datetime) or moment.tzinfo is None):
            problems.append(Problem(f"invalid_{name}", name, "must be a datetime with a time zone"))
    return problems


def _optional_app_id_problems(app_id: object) -> list[Problem]:
    return [] if app_id is None else app_id_problems(app_id)


def _address_problems(address: object) -> list[Problem]:
    if not isinstance(address, str):
        return [Problem("invalid_address", "address", "must be a string")]
    if not 1 <= len(address) <= ADDRESS_MAX_LENGTH:
        return [Problem("invalid_address", "address", f"must have 1 to {ADDRESS_MAX_LENGTH} characters")]
    if not _PRINTABLE_ASCII.fullmatch(address):
        return [Problem("invalid_address", "address", "must be printable ASCII without spaces")]
    return []


def _enum_problems(enum: type[StrEnum], value: object, field_name: str) -> list[Problem]:
    known = [str(member) for member in enum]
    if isinstance(value, str) and value in known:
        return []
    return [Problem(f"invalid_{field_name}", field_name, f"must be one of {', '.join(known)}")]


def _device_id_problems(device_id: object, field_name: str = "device_id") -> list[Problem]:
    if isinstance(device_id, str):
        return []
    return [Problem("invalid_device_id", field_name, "must be a string")]


def _limit_problems(limit: object, *, most: int = MAX_DEVICES) -> list[Problem]:
    if isinstance(limit, int) and not isinstance(limit, bool) and 1 <= limit <= most:
        return []
    return [Problem("invalid_limit", "limit", f"must be a whole number from 1 to {most}")]


def _account_ids_problems(account_ids: object) -> list[Problem]:
    if isinstance(account_ids, str) or not isinstance(account_ids, Collection):
        return [Problem("invalid_account_ids", "account_ids", "must be a list of account ids")]
    return [
        problem
        for position, account_id in enumerate(account_ids)
        for problem in account_id_problems(account_id, field=f"account_ids[{position}]")
    ]


def _refuse(*groups: list[Problem]) -> None:
    problems = [problem for group in groups for problem in group]
    if problems:
        raise InvalidInputError(problems)

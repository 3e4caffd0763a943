"""What is asked of `devices`: the documents of an address, an installation, accounts, an audience."""

from __future__ import annotations

from collections.abc import Sequence

from modules.application.repository import Document
from modules.device_token.internals.device_params import DeviceRegistration
from modules.device_token.internals.installations import MARK_OF_TOKENS, installation_id
from modules.device_token.types import DeviceCriteria, DeviceState, TargetKind


def key_of(registration: DeviceRegistration) -> Document:
    return {
        "app_id": registration.app_id,
        "kind": registration.kind.value,
        "address": registration.address,
    }


def others_of_installation(registration: DeviceRegistration) -> Document | None:
    """Devices in use at other addresses of the same installation; None for an address that names none.

    A token begins with the installation's id, so the index on addresses finds them.
    """
    installation = installation_id(registration.kind, registration.address)
    if installation is None:
        return None
    first, beyond = f"{installation}{MARK_OF_TOKENS}", f"{installation}{MARK_OF_TOKENS[:-1]}2"
    others: list[Document] = [{"kind": TargetKind.TOKEN.value, "address": {"$gte": first, "$lt": beyond}}]
    if registration.kind is TargetKind.TOKEN:
        others[0]["address"]["$ne"] = registration.address
        others.append({"kind": TargetKind.FID.value, "address": installation})
    in_use = {"$ne": DeviceState.INACTIVE.value}
    return {"$or": [{"app_id": registration.app_id, **each, "state": in_use} for each in others]}


def active_devices(account_ids: Sequence[str], app_id: str | None) -> Document:
    wanted: Document = {"account_id": {"$in": list(account_ids)}, "state": DeviceState.ACTIVE.value}
    if app_id is not None:
        wanted["app_id"] = app_id
    return wanted


def matching_devices(criteria: DeviceCriteria) -> Document:
    wanted: Document = {"state": DeviceState.ACTIVE.value}
    if criteria.app_id is not None:
        wanted["app_id"] = criteria.app_id
    if criteria.platforms:
        wanted["platform"] = {"$in": [platform.value for platform in criteria.platforms]}
    seen = {"$gt": criteria.last_seen_after, "$lt": criteria.last_seen_before}
    bounds = {operator: moment for operator, moment in seen.items() if moment is not None}
    return {**wanted, "last_seen_at": bounds} if bounds else wanted

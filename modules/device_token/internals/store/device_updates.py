"""The changes a device document can go through, as update pipelines on the database's clock."""

from __future__ import annotations

from typing import Any

from modules.device_token.internals.device_params import DeviceRegistration
from modules.device_token.types import DeviceState

UpdatePipeline = list[dict[str, Any]]

_NEXT_VERSION = {"$add": [{"$ifNull": ["$version", 0]}, 1]}


def registration_update(registration: DeviceRegistration) -> UpdatePipeline:
    """New, seen again, back from inactive or quarantine, or moved from another account: all one update."""
    account_id = {"$literal": registration.account_id}
    same_account = {"$eq": ["$account_id", account_id]}
    unchanged = {"$and": [same_account, {"$eq": ["$state", DeviceState.ACTIVE.value]}]}
    return [
        {
            "$set": {
                "account_id": account_id,
                "platform": registration.platform.value,
                "state": DeviceState.ACTIVE.value,
                "state_reason": None,
                "state_changed_at": {"$cond": [unchanged, "$state_changed_at", "$$NOW"]},
                "registered_at": {"$cond": [same_account, "$registered_at", "$$NOW"]},
                "last_seen_at": "$$NOW",
                "version": _NEXT_VERSION,
            }
        }
    ]


def state_update(state: DeviceState, reason: str | None) -> UpdatePipeline:
    return [
        {
            "$set": {
                "state": state.value,
                "state_reason": {"$literal": reason},
                "state_changed_at": "$$NOW",
                "version": _NEXT_VERSION,
            }
        }
    ]

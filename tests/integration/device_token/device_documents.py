"""Documents of `devices` as they are stored, written without the service."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)


def make_device(account_id: str, number: int, **over: Any) -> dict[str, Any]:
    seen = NOON + timedelta(minutes=number)
    document = {
        "account_id": account_id,
        "app_id": "default",
        "platform": "android",
        "kind": "token",
        "address": f"{account_id}/{number}",
        "state": "active",
        "state_reason": None,
        "state_changed_at": seen,
        "registered_at": seen,
        "last_seen_at": seen,
        "version": 1,
    }
    return {**document, **over}

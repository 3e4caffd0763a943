"""What a campaign's rows are: found by campaign and account alone, and without content of their own."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from hashlib import blake2b
from typing import Any

from bson import ObjectId

from modules.notification.internals.store.push_notification_model import DEFAULT_MAX_RETRIES, SCHEMA_VERSION
from modules.notification.types import Priority, Status


def campaign_row_id(campaign_id: ObjectId, account_id: str) -> ObjectId:
    """The id of the one row this campaign has for the account: writing it again adds none."""
    digest = blake2b(account_id.encode(), digest_size=8, key=campaign_id.binary).digest()
    return ObjectId(campaign_id.binary[:4] + digest)


def campaign_row_ids(campaign_id: ObjectId, account_ids: Iterable[str]) -> dict[str, ObjectId]:
    """The ids of these accounts' rows, each account once and in order."""
    return {account_id: campaign_row_id(campaign_id, account_id) for account_id in account_ids}


def new_campaign_row(
    row_id: ObjectId,
    campaign_id: ObjectId,
    page: int,
    account_id: str,
    *,
    expires_at: datetime | None,
    now: datetime,
) -> dict[str, Any]:
    """The document of a new row; what is the model's default is left out, a million times."""
    row: dict[str, Any] = {
        "_id": row_id,
        "schema_version": SCHEMA_VERSION,
        "status": Status.PENDING.value,
        "active": True,
        "fence": 0,
        "last_transition": {"source": None, "target": Status.PENDING.value},
        "retry_count": 0,
        "max_retries": DEFAULT_MAX_RETRIES,
        "account_id": account_id,
        "priority": Priority.NORMAL.value,
        "created_at": now,
        "updated_at": now,
        "campaign": {"id": campaign_id, "page": page},
        "lost_claims": 0,
        "events": [],
    }
    if expires_at is not None:
        row["expires_at"] = expires_at
    return row

"""What the rows of a bulk are: found by bulk and account alone, and without content of their own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any

from bson import ObjectId

from modules.notification.bulk_types import Content, PageRows
from modules.notification.internals.store.push_notification_model import (
    DEFAULT_MAX_RETRIES,
    SCHEMA_VERSION,
    PushNotificationModel,
)
from modules.notification.types import Priority, Status


def bulk_row_id(bulk_id: ObjectId, account_id: str) -> ObjectId:
    """The id of the one row this bulk has for the account: writing it again adds none."""
    digest = blake2b(account_id.encode(), digest_size=8, key=bulk_id.binary).digest()
    return ObjectId(bulk_id.binary[:4] + digest)


def page_rows(bulk_id: str, page: int, account_ids: Sequence[str]) -> PageRows:
    """The rows of a bulk's page for these accounts, in order."""
    bulk = ObjectId(bulk_id)
    row_ids = {account_id: bulk_row_id(bulk, account_id) for account_id in account_ids}
    return PageRows(bulk_id=bulk_id, page=page, account_ids=account_ids, row_ids=row_ids)


def new_bulk_row(
    row_id: ObjectId,
    bulk_id: ObjectId,
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
        "campaign": {"id": bulk_id, "page": page},
        "lost_claims": 0,
        "events": [],
    }
    if expires_at is not None:
        row["expires_at"] = expires_at
    return row


def sample_row(content: Content, *, expires_at: datetime | None, now: datetime) -> PushNotificationModel:
    """A row of the content for nobody, as a delivery would read it."""
    row_id = ObjectId()
    document = new_bulk_row(row_id, row_id, 0, "", expires_at=expires_at, now=now)
    return PushNotificationModel.model_validate({**content, **document})

"""Rows of `push_notifications` for tests: requests, settled rows, and the collection as MongoDB has it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from modules.notification.internals.domain.settlement import DeviceProgress, Settlement
from modules.notification.internals.push_notification_writer import (
    NewPush,
    SettledRow,
)
from modules.notification.internals.store.push_notification_model import PushNotificationModel
from modules.notification.internals.store.rows.row_claim_repository import RowClaimRepository
from modules.notification.types import Outcome, Priority, SendPushParams, Status

Document = dict[str, Any]
LEASE_SECONDS = 30.0
PAST = timedelta(minutes=5)


def make_push(**over: Any) -> NewPush:
    """A request for one row; what belongs to the content goes into its params."""
    content = {name: over.pop(name) for name in list(over) if name in SendPushParams.__dataclass_fields__}
    params = SendPushParams(**{"title": "Appointment", "body": "Tomorrow at ten", **content})
    return NewPush(**{"account_id": "account-1", "params": params, "priority": Priority.NORMAL, **over})


def make_device(outcome: Outcome, device_id: str = "device-1", **over: Any) -> DeviceProgress:
    progress: dict[str, Any] = {
        "device_id": device_id,
        "app_id": "default",
        "outcome": outcome,
        "code": outcome.name,
        "reason": f"was {outcome}",
        "attempts": 1,
        "retries": int(outcome in (Outcome.TRANSIENT, Outcome.UNKNOWN)),
        "unknown_attempts": 0,
        "message_id": "projects/demo/messages/1" if outcome is Outcome.ACCEPTED else None,
        "last_attempt_at": datetime.now(UTC),
        "not_before": None,
    }
    return DeviceProgress(**{**progress, **over})


def make_settled(row: PushNotificationModel, status: Status = Status.SENT, **over: Any) -> SettledRow:
    """What became of a claimed row: by default one device that accepted."""
    outcome = Outcome.ACCEPTED if status is Status.SENT else Outcome.TRANSIENT
    retry_at = datetime.now(UTC) + timedelta(minutes=1) if status is Status.PENDING else None
    settlement: dict[str, Any] = {
        "status": status,
        "devices": (make_device(outcome, not_before=retry_at),),
        "retry_count": 0 if status is Status.SENT else 1,
        "next_retry_at": retry_at,
        "error_type": None if status is Status.SENT else "UNAVAILABLE",
        "error_message": None if status is Status.SENT else "try again",
    }
    return SettledRow(
        row=row, settlement=Settlement(**{**settlement, **over}), event="attempted", detail="1 device"
    )


def make_document(**over: Any) -> Document:
    """A row as it is stored, valid by itself, for bulk inserts and for what the writer would never write."""
    now = datetime.now(UTC)
    document: Document = {
        "_id": ObjectId(),
        "schema_version": 1,
        "account_id": "account-1",
        "status": "pending",
        "priority": "normal",
        "title": "Appointment",
        "body": "Tomorrow at ten",
        "data": {},
        "category": "general",
        "outcome_policy": "at_least_once",
        "provider": "fcm",
        "retry_count": 0,
        "max_retries": 4,
        "content_fingerprint": "0",
        "fence": 0,
        "lost_claims": 0,
        "events": [],
        "last_transition": {"source": None, "target": "pending"},
        "created_at": now,
        "updated_at": now,
        "due_at": now,
        "active": True,
    }
    document.update(over)
    return {name: value for name, value in document.items() if value is not ...}


def final_document(status: str = "sent", **over: Any) -> Document:
    """A row that is done."""
    return make_document(
        status=status,
        last_transition={"source": "processing", "target": status},
        due_at=...,
        **{"finished_at": datetime.now(UTC), **over},
    )


async def claim_one(claims: RowClaimRepository, row_id: ObjectId, owner: str = "me") -> PushNotificationModel:
    (row,) = await claims.claim([row_id], owner=owner, lease_seconds=LEASE_SECONDS)
    return row


def let_lease_run_out(rows: Collection[Document], row_id: ObjectId) -> None:
    past = datetime.now(UTC) - PAST
    rows.update_one({"_id": row_id}, {"$set": {"claim.lease_expires_at": past, "due_at": past}})


def let_expire(rows: Collection[Document], row_id: ObjectId) -> None:
    rows.update_one({"_id": row_id}, {"$set": {"expires_at": datetime.now(UTC) - PAST}})


def stored(rows: Collection[Document], row_id: ObjectId) -> Document:
    document = rows.find_one({"_id": row_id})
    assert document is not None
    return document

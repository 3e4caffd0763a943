"""How a row stands, read without its content: also of rows that another version of the service wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bson import ObjectId

from modules.notification.internals.store.rows.row_claims import LET_GO
from modules.notification.types import Outcome, Status

FIELDS_OF_STANDING: Final = {
    "status": 1,
    "active": 1,
    "due_at": 1,
    "error_type": 1,
    "devices.outcome": 1,
    "events": {"$slice": -1},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RowStanding:
    """A status that this version does not know counts as being processed: somebody else's row.

    `was_let_go` says that whoever claimed it last gave it back as it was.
    """

    id: ObjectId
    status: Status
    active: bool
    due_at: datetime | None
    error_type: str | None
    accepted: int
    failed: int
    was_let_go: bool


def standing_of(document: Mapping[str, Any]) -> RowStanding:
    """Of a document with FIELDS_OF_STANDING."""
    outcomes = [device.get("outcome") for device in document.get("devices", ())]
    accepted = outcomes.count(Outcome.ACCEPTED.value)
    events = document.get("events", ())
    return RowStanding(
        id=document["_id"],
        status=Status(document["status"]) if document["status"] in list(Status) else Status.PROCESSING,
        active=document["active"],
        due_at=document.get("due_at"),
        error_type=document.get("error_type"),
        accepted=accepted,
        failed=len(outcomes) - accepted,
        was_let_go=any(event["event"] == LET_GO for event in events),
    )

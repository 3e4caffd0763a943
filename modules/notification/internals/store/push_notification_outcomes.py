"""How the outcomes of claimed rows are written: many rows in one update, each with values of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from modules.notification.internals.store.push_notification_claims import MAX_EVENTS
from modules.notification.types import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChange:
    """One conditional write: `fields` replace, `due_at` None means nothing is left to do."""

    id: ObjectId
    fence: int
    status: Status
    fields: Mapping[str, Any]
    due_at: datetime | None
    finished_at: datetime | None
    events: Sequence[Mapping[str, Any]]


def by_shape(changes: Sequence[RowChange]) -> list[list[RowChange]]:
    """Changes that one update can carry: of one fence, and alike in what they remove."""
    groups: dict[tuple[int, bool, bool], list[RowChange]] = {}
    for change in changes:
        shape = (change.fence, change.due_at is None, change.finished_at is None)
        groups.setdefault(shape, []).append(change)
    return list(groups.values())


def outcome_condition(changes: Sequence[RowChange]) -> dict[str, Any]:
    """The rows of `changes`, all of one fence, that are still under it."""
    return {
        "_id": {"$in": [change.id for change in changes]},
        "fence": changes[0].fence,
        "status": Status.PROCESSING.value,
    }


def outcome_update(changes: Sequence[RowChange]) -> list[dict[str, Any]]:
    """The update of rows alike in shape: each gets its own values out of one literal list, by its place."""
    # A bulk of single updates costs the server half as much again (docs/performance.md).
    ids = [change.id for change in changes]
    own = {
        "$arrayElemAt": [
            {"$literal": [_values(change) for change in changes]},
            {"$indexOfArray": [{"$literal": ids}, "$_id"]},
        ]
    }
    added = {
        "$arrayElemAt": [
            {"$literal": [list(change.events) for change in changes]},
            {"$indexOfArray": [{"$literal": ids}, "$_id"]},
        ]
    }
    events = {"$slice": [{"$concatArrays": [{"$ifNull": ["$events", []]}, added]}, -MAX_EVENTS]}
    removed = ["claim"]
    if changes[0].due_at is None:
        removed.append("due_at")
    if changes[0].finished_at is None:
        removed.append("finished_at")
    return [
        {"$replaceWith": {"$mergeObjects": ["$$ROOT", own, {"updated_at": "$$NOW", "events": events}]}},
        {"$unset": removed},
    ]


def _values(change: RowChange) -> dict[str, Any]:
    values: dict[str, Any] = {
        **change.fields,
        "status": change.status.value,
        "last_transition": {"source": Status.PROCESSING.value, "target": change.status.value},
    }
    if change.due_at is not None:
        values["due_at"] = change.due_at
    if change.finished_at is not None:
        values["finished_at"] = change.finished_at
    return values

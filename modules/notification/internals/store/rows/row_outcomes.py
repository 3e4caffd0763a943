"""How the outcomes of claimed rows are written: many rows in one update, each with values of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from modules.notification.internals.store.rows.row_claims import MAX_EVENTS
from modules.notification.types import Status

# A command has at most 16 MB (MongoDB, "MongoDB Limits"), and what an update builds of it as well.
MOST_BYTES = 6_000_000
# A device's record without its address, and whatever else a row brings along.
DEVICE_BYTES = 800
_PROCESSING = Status.PROCESSING.value
_ADDRESSES = ("device_tokens_used", "invalid_tokens")


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
    """Changes that one update can carry: of one fence, alike in what they remove, not too large together."""
    groups: dict[tuple[int, bool, bool], list[list[RowChange]]] = {}
    sizes: dict[tuple[int, bool, bool], int] = {}
    for change in changes:
        shape = (change.fence, change.due_at is None, change.finished_at is None)
        size = _size_of(change)
        parts = groups.setdefault(shape, [[]])
        sizes[shape] = sizes.get(shape, 0) + size
        if parts[-1] and sizes[shape] > MOST_BYTES:
            parts.append([])
            sizes[shape] = size
        parts[-1].append(change)
    return [part for parts in groups.values() for part in parts]


def _size_of(change: RowChange) -> int:
    """About how many bytes the change takes in a command."""
    fields = change.fields
    addresses = sum(len(address) for name in _ADDRESSES for address in fields.get(name, ()))
    return DEVICE_BYTES * (1 + len(fields.get("devices", ()))) + addresses


def outcome_condition(changes: Sequence[RowChange]) -> dict[str, Any]:
    """The rows of `changes`, all of one fence, that are still under it."""
    return {
        "_id": {"$in": [change.id for change in changes]},
        "fence": changes[0].fence,
        "status": _PROCESSING,
    }


def outcome_update(changes: Sequence[RowChange]) -> list[dict[str, Any]]:
    """The update of rows alike in shape: what they share once, and each one's own values by its place."""
    # A bulk of single updates costs the server half as much again (docs/performance.md).
    ids = [change.id for change in changes]
    values = [_values(change) for change in changes]
    shared = _shared(values)
    own = [{name: value for name, value in each.items() if name not in shared} for each in values]
    parts: list[Any] = ["$$ROOT", {"$literal": shared}]
    if any(own):
        parts.append(_by_place(ids, own))
    events = [list(change.events) for change in changes]
    alike = all(each == events[0] for each in events)
    added = {"$literal": events[0]} if alike else _by_place(ids, events)
    parts.append({"updated_at": "$$NOW", "events": {"$slice": [_joined(added), -MAX_EVENTS]}})
    removed = ["claim"]
    if changes[0].due_at is None:
        removed.append("due_at")
    if changes[0].finished_at is None:
        removed.append("finished_at")
    return [{"$replaceWith": {"$mergeObjects": parts}}, {"$unset": removed}]


def _shared(values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    shared = dict(values[0])
    for other in values[1:]:
        for name in [name for name, value in shared.items() if name not in other or other[name] != value]:
            del shared[name]
    return shared


def _by_place(ids: Sequence[ObjectId], each: Sequence[Any]) -> dict[str, Any]:
    return {"$arrayElemAt": [{"$literal": each}, {"$indexOfArray": [{"$literal": ids}, "$_id"]}]}


def _joined(added: dict[str, Any]) -> dict[str, Any]:
    return {"$concatArrays": [{"$ifNull": ["$events", []]}, added]}


def _values(change: RowChange) -> dict[str, Any]:
    status = change.status.value
    values: dict[str, Any] = {
        **change.fields,
        "status": status,
        "last_transition": {"source": _PROCESSING, "target": status},
    }
    if change.due_at is not None:
        values["due_at"] = change.due_at
    if change.finished_at is not None:
        values["finished_at"] = change.finished_at
    return values

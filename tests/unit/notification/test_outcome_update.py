"""One update for many rows: what they share stands in it once, and rows of another shape go apart."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from modules.notification.internals.store.rows.row_outcomes import (
    RowChange,
    by_shape,
    outcome_condition,
    outcome_update,
)
from modules.notification.types import Status

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def change(**over: Any) -> RowChange:
    plain = {
        "id": ObjectId(),
        "fence": 1,
        "status": Status.SENT,
        "fields": {"retry_count": 0, "message": "same"},
        "due_at": None,
        "finished_at": NOW,
        "events": [{"at": NOW, "event": "attempted", "detail": "1"}],
    }
    return RowChange(**{**plain, **over})


def test_what_rows_share_is_said_once() -> None:
    changes = [change(fields={"retry_count": 0, "own": number}) for number in range(3)]
    parts = outcome_update(changes)[0]["$replaceWith"]["$mergeObjects"]
    assert parts[1]["$literal"]["retry_count"] == 0
    assert parts[2]["$arrayElemAt"][0]["$literal"] == [{"own": 0}, {"own": 1}, {"own": 2}]
    assert parts[2]["$arrayElemAt"][1]["$indexOfArray"][0]["$literal"] == [each.id for each in changes]


def test_a_field_that_one_row_lacks_is_not_shared() -> None:
    parts = outcome_update([change(), change(fields={"retry_count": 0})])[0]["$replaceWith"]["$mergeObjects"]
    assert "message" not in parts[1]["$literal"]


def test_rows_of_another_fence_or_shape_go_apart() -> None:
    done, later = change(), change(status=Status.PENDING, due_at=NOW, finished_at=None)
    groups = by_shape([done, later, change(fence=2), change()])
    assert sorted(len(group) for group in groups) == [1, 1, 2]


def test_rows_with_many_devices_of_long_addresses_go_apart() -> None:
    """Four rows of 500 dead devices once exceeded the 16 MB of a command."""
    addresses = ["a" * 4_096] * 500
    fields = {"devices": [{}] * 500, "device_tokens_used": addresses, "invalid_tokens": addresses}
    groups = by_shape([change(fields=fields) for _ in range(4)])
    assert [len(group) for group in groups] == [1, 1, 1, 1]
    assert len(by_shape([change() for _ in range(2_000)])) == 1


def test_the_condition_is_the_fence_and_that_nobody_has_written() -> None:
    changes = [change(), change()]
    assert outcome_condition(changes) == {
        "_id": {"$in": [each.id for each in changes]},
        "fence": 1,
        "status": "processing",
    }

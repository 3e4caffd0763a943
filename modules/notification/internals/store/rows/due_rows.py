"""Finds the rows that are due, page by page or between two places of the scan; past what they hold."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.asynchronous.collection import AsyncCollection

from modules.application.repository import Document
from modules.application.store_patience import StorePatience
from modules.notification.types import DueRow, Priority, Status

# A call of the enum for every row is a fortieth of what a backlog costs a worker.
_PRIORITIES = {each.value: each for each in Priority}


class DueRowReader:
    """Of `push_notifications`. Methods raise UnavailableError when MongoDB does not answer."""

    def __init__(self, collection: AsyncCollection[Document], patience: StorePatience) -> None:
        self._collection = collection
        self._patience = patience

    async def page(
        self, *, now: datetime, after: tuple[datetime, ObjectId] | None, limit: int
    ) -> list[DueRow]:
        """Rows due at `now`, oldest first, after the keyset `after`."""
        wanted: dict[str, Any] = {"due_at": {"$lte": now}}
        if after is not None:
            due_at, row_id = after
            wanted = {
                "$or": [
                    {"due_at": {"$gt": due_at, "$lte": now}},
                    {"due_at": due_at, "_id": {"$gt": row_id}},
                ]
            }
        fields = {"account_id": 1, "priority": 1, "due_at": 1, "status": 1}
        order = [("due_at", 1), ("_id", 1)]
        documents = await self._patience.repeated(
            lambda: self._collection.find(wanted, fields).sort(order).limit(limit).to_list()
        )
        return [
            DueRow(
                notification_id=str(document["_id"]),
                account_id=document["account_id"],
                priority=_PRIORITIES[document["priority"]],
                due_at=document["due_at"],
                reclaimed=document["status"] == Status.PROCESSING.value,
            )
            for document in documents
        ]

    async def count(self, *, now: datetime, limit: int) -> int:
        """How many rows are due at `now`, counted up to `limit`."""
        wanted = {"due_at": {"$lte": now}}
        return await self._patience.repeated(
            lambda: self._collection.count_documents(wanted, limit=limit, hint="due")
        )

    async def range(
        self, *, after: tuple[datetime, ObjectId] | None, last: tuple[datetime, ObjectId]
    ) -> list[ObjectId]:
        """Ids of normal rows due from the keyset `after` (left out) to `last`, oldest first."""
        wanted = {"due_at": {"$exists": True}, "priority": Priority.NORMAL.value}

        def found() -> Awaitable[list[Document]]:
            # Bounds on the index itself: many rows can be due at one moment, and only _id tells them apart.
            end = _keyset(last[0], _next_id(last[1]))
            cursor = self._collection.find(wanted, {"due_at": 1}, hint="due").max(end)
            if after is not None:
                cursor = cursor.min(_keyset(after[0], _next_id(after[1])))
            return cursor.to_list()

        return [document["_id"] for document in await self._patience.repeated(found)]


def _keyset(due_at: datetime, row_id: ObjectId) -> list[tuple[str, Any]]:
    return [("due_at", due_at), ("_id", row_id)]


def _next_id(row_id: ObjectId) -> ObjectId:
    """The smallest id above `row_id`: index bounds take their lower end in and leave the upper out."""
    return ObjectId((int.from_bytes(row_id.binary, "big") + 1).to_bytes(12, "big"))

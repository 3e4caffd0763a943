"""Keeps receipts that came before the outcome they are about: a provider can be faster than our write."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from pymongo import ASCENDING, IndexModel

from modules.application.repository import Repository

# Longer than any row waits for its outcome.
_KEEP_SECONDS = 7 * 24 * 60 * 60
PAGE_RECEIPTS = 1_000


class ReceiptRepository(Repository):
    """The collection `receipts`: ids of notifications, or of messages as the provider names them."""

    collection_name: ClassVar[str] = "receipts"
    indexes: ClassVar[tuple[IndexModel, ...]] = (
        IndexModel([("at", ASCENDING)], name="expired", expireAfterSeconds=_KEEP_SECONDS),
    )
    validator: ClassVar[Mapping[str, Any]] = {
        "$jsonSchema": {
            "bsonType": "object",
            "required": ["_id", "at"],
            "additionalProperties": False,
            "properties": {"_id": {"bsonType": "string", "minLength": 1}, "at": {"bsonType": "date"}},
        }
    }

    async def keep(self, receipt_id: str) -> None:
        """Store a receipt, durable on a majority; one that is there stays."""
        change = [{"$set": {"at": {"$ifNull": ["$at", "$$NOW"]}}}]
        await self._patience.repeated(
            lambda: self._collection.update_one({"_id": receipt_id}, change, upsert=True)
        )

    async def has_any(self) -> bool:
        """Whether there is a receipt at all: mostly there is none."""
        return await self._patience.repeated(lambda: self._collection.find_one({}, {"_id": 1})) is not None

    async def among(self, ids: Collection[str]) -> set[str]:
        """Those of these ids that there is a receipt for."""
        wanted = {"_id": {"$in": list(ids)}}
        found = await self._patience.repeated(lambda: self._collection.find(wanted, {"_id": 1}).to_list())
        return {document["_id"] for document in found}

    async def page(self, *, after: str, limit: int = PAGE_RECEIPTS) -> list[str]:
        """The next `limit` ids at most, in order; none at the end."""
        wanted = {"_id": {"$gt": after}}
        documents = await self._patience.repeated(
            lambda: self._collection.find(wanted, {"_id": 1}).sort("_id", ASCENDING).limit(limit).to_list()
        )
        return [document["_id"] for document in documents]

    async def drop(self, ids: Collection[str]) -> None:
        await self._patience.repeated(lambda: self._collection.delete_many({"_id": {"$in": list(ids)}}))

"""Keeps accounts in MongoDB, on the database's clock."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from pymongo import ReturnDocument

from modules.account.internals.store.account_model import AccountModel
from modules.account.types import ACCOUNT_ID_MAX_LENGTH, MAX_TAGS, Account
from modules.application.records import read_record
from modules.application.repository import Document, Repository


class AccountRepository(Repository):
    """The collection `accounts`; found by `_id` alone, so it needs no further index."""

    collection_name = "accounts"
    validator: ClassVar[Mapping[str, Any]] = {
        "$jsonSchema": {
            "bsonType": "object",
            "required": ["_id", "locale", "time_zone", "created_at", "updated_at"],
            "additionalProperties": False,
            "properties": {
                "_id": {"bsonType": "string", "minLength": 1, "maxLength": ACCOUNT_ID_MAX_LENGTH},
                "locale": {"bsonType": "string", "minLength": 2},
                "time_zone": {"bsonType": "string", "minLength": 1},
                "tags": {
                    "bsonType": "array",
                    "maxItems": MAX_TAGS,
                    "uniqueItems": True,
                    "items": {"bsonType": "string", "minLength": 1},
                },
                "created_at": {"bsonType": "date"},
                "updated_at": {"bsonType": "date"},
            },
        }
    }

    async def upsert(self, *, account_id: str, locale: str, time_zone: str, tags: Collection[str]) -> Account:
        update = [
            {
                "$set": {
                    "locale": {"$literal": locale},
                    "time_zone": {"$literal": time_zone},
                    "tags": {"$literal": list(tags)},
                    "created_at": {"$ifNull": ["$created_at", "$$NOW"]},
                    "updated_at": "$$NOW",
                }
            }
        ]
        # MongoDB 4.2 and later itself repeats an upsert that lost a race for a unique key.
        document = await self._patience.repeated(
            lambda: self._collection.find_one_and_update(
                {"_id": account_id}, update, upsert=True, return_document=ReturnDocument.AFTER
            )
        )
        return read_record(AccountModel, document).to_account()

    async def find(self, account_id: str) -> Account | None:
        document = await self._patience.repeated(lambda: self._collection.find_one({"_id": account_id}))
        return None if document is None else read_record(AccountModel, document).to_account()

    async def erase(self, account_id: str) -> int:
        result = await self._patience.repeated(lambda: self._collection.delete_one({"_id": account_id}))
        return result.deleted_count

    async def matching(
        self, account_ids: Collection[str], *, locales: Collection[str], tags: Collection[str]
    ) -> set[str]:
        """The recorded accounts with one of `locales` and one of `tags`; an empty one asks for nothing."""
        wanted: Document = {"_id": {"$in": list(account_ids)}}
        if locales:
            wanted["locale"] = {"$in": list(locales)}
        if tags:
            wanted["tags"] = {"$in": list(tags)}
        return await self._ids(wanted)

    async def outside(self, account_ids: Collection[str], *, locales: Collection[str]) -> set[str]:
        """The recorded accounts that live in none of `locales`."""
        return await self._ids({"_id": {"$in": list(account_ids)}, "locale": {"$nin": list(locales)}})

    async def _ids(self, wanted: Document) -> set[str]:
        documents = await self._patience.repeated(lambda: self._collection.find(wanted, {"_id": 1}).to_list())
        return {document["_id"] for document in documents}

    async def locales_of(self, account_ids: Collection[str]) -> dict[str, str]:
        """The locales of the recorded accounts."""
        wanted = {"_id": {"$in": list(account_ids)}}
        documents = await self._patience.repeated(
            lambda: self._collection.find(wanted, {"locale": 1}).to_list()
        )
        return {document["_id"]: document["locale"] for document in documents}

"""Keeps accounts in MongoDB, on the database's clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pymongo import ReturnDocument

from modules.account.internals.store.account_model import AccountModel
from modules.account.types import ACCOUNT_ID_MAX_LENGTH, Account
from modules.application.repository import Repository, database_errors


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
                "created_at": {"bsonType": "date"},
                "updated_at": {"bsonType": "date"},
            },
        }
    }

    async def upsert(self, *, account_id: str, locale: str, time_zone: str) -> Account:
        update = [
            {
                "$set": {
                    "locale": {"$literal": locale},
                    "time_zone": {"$literal": time_zone},
                    "created_at": {"$ifNull": ["$created_at", "$$NOW"]},
                    "updated_at": "$$NOW",
                }
            }
        ]
        async with database_errors():
            # MongoDB 4.2 and later itself repeats an upsert that lost a race for a unique key.
            document = await self._collection.find_one_and_update(
                {"_id": account_id}, update, upsert=True, return_document=ReturnDocument.AFTER
            )
        return AccountModel.model_validate(document).to_account()

    async def find(self, account_id: str) -> Account | None:
        async with database_errors():
            document = await self._collection.find_one({"_id": account_id})
        return None if document is None else AccountModel.model_validate(document).to_account()

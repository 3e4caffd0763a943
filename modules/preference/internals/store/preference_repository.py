"""Keeps preferences in MongoDB, one document an account."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from pymongo import ReturnDocument

from modules.application.errors import StoreError
from modules.application.mongo_errors import DOCUMENT_VALIDATION_FAILURE
from modules.application.records import read_record
from modules.application.repository import Document, Repository, one_batch
from modules.preference.errors import TooManyCategoriesError
from modules.preference.internals.store.preference_model import PreferenceModel
from modules.preference.types import MAX_CATEGORIES, Preferences


class PreferenceRepository(Repository):
    """The collection `preferences`; found by `_id` alone, so it needs no further index."""

    collection_name = "preferences"
    validator: ClassVar[Mapping[str, Any]] = {
        "$jsonSchema": {
            "bsonType": "object",
            "required": ["_id", "default_allowed", "categories", "updated_at"],
            "additionalProperties": False,
            "properties": {
                "_id": {"bsonType": "string", "minLength": 1},
                "default_allowed": {"bsonType": ["bool", "null"]},
                "categories": {
                    "bsonType": "object",
                    "maxProperties": MAX_CATEGORIES,
                    "additionalProperties": {"bsonType": "bool"},
                },
                "updated_at": {"bsonType": "date"},
            },
        }
    }

    async def set(self, *, account_id: str, category: str | None, allowed: bool) -> Preferences:
        """Record one preference; `category` None is the account's default. Others stay as they are."""
        try:
            # MongoDB 4.2 and later itself repeats an upsert that lost a race for a unique key.
            document = await self._patience.repeated(
                lambda: self._collection.find_one_and_update(
                    {"_id": account_id},
                    _update(category, allowed),
                    upsert=True,
                    return_document=ReturnDocument.AFTER,
                )
            )
        except StoreError as error:
            # Types are checked before; only the number of categories is left for the validator to refuse.
            if error.server_code == DOCUMENT_VALIDATION_FAILURE:
                raise TooManyCategoriesError from None
            raise
        return read_record(PreferenceModel, document).to_preferences()

    async def erase(self, account_id: str) -> int:
        result = await self._patience.repeated(lambda: self._collection.delete_one({"_id": account_id}))
        return result.deleted_count

    async def find(self, account_ids: Collection[str]) -> dict[str, Preferences]:
        """The recorded preferences by account, in one query; accounts without any are left out."""
        wanted = {"_id": {"$in": list(account_ids)}}
        documents = await self._patience.repeated(
            lambda: self._collection.find(wanted, batch_size=one_batch(len(account_ids))).to_list()
        )
        models = [read_record(PreferenceModel, document) for document in documents]
        return {model.account_id: model.to_preferences() for model in models}


def _update(category: str | None, allowed: bool) -> list[Document]:
    said: Document = {} if category is None else {category: allowed}
    default = {"$ifNull": ["$default_allowed", None]} if category is not None else allowed
    return [
        {
            "$set": {
                "default_allowed": default,
                "categories": {"$mergeObjects": ["$categories", {"$literal": said}]},
                "updated_at": "$$NOW",
            }
        }
    ]

"""Keeps one-time passwords in MongoDB: attempts and use are conditional updates, expiry is on its clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from pymongo import ASCENDING, IndexModel, ReturnDocument

from modules.application.records import read_record
from modules.application.repository import Repository, database_errors
from modules.authentication.internals.store.one_time_password_model import OneTimePasswordModel

# Kept for a day after expiry, so that a late answer is told "expired" and not "never sent".
_KEEP_EXPIRED_SECONDS = 24 * 60 * 60
_NOT_EXPIRED = {"$gt": ["$expires_at", "$$NOW"]}


class Standing(StrEnum):
    """How an account and purpose stand, when no attempt could be taken."""

    ABSENT = "absent"
    EXPIRED = "expired"
    EXHAUSTED = "exhausted"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOneTimePassword:
    account_id: str
    purpose: str
    ticket_id: str
    salt: bytes = field(repr=False)
    code_hash: bytes = field(repr=False)
    ttl_seconds: float
    max_attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The right to try one code, already paid for."""

    ticket_id: str
    salt: bytes = field(repr=False)
    code_hash: bytes = field(repr=False)


class OneTimePasswordRepository(Repository):
    """The collection `one_time_passwords`, one an account and purpose; `expired` removes old ones."""

    collection_name = "one_time_passwords"
    indexes: ClassVar[Sequence[IndexModel]] = (
        IndexModel([("expires_at", ASCENDING)], name="expired", expireAfterSeconds=_KEEP_EXPIRED_SECONDS),
    )
    validator: ClassVar[Mapping[str, Any]] = {
        "$jsonSchema": {
            "bsonType": "object",
            "required": [
                "_id",
                "account_id",
                "purpose",
                "ticket_id",
                "salt",
                "code_hash",
                "attempts_left",
                "created_at",
                "expires_at",
                "used_at",
            ],
            "additionalProperties": False,
            "properties": {
                "_id": {"bsonType": "string"},
                "account_id": {"bsonType": "string", "minLength": 1},
                "purpose": {"bsonType": "string", "minLength": 1},
                "ticket_id": {"bsonType": "string", "minLength": 1},
                "salt": {"bsonType": ["binData", "null"]},
                "code_hash": {"bsonType": ["binData", "null"]},
                "attempts_left": {"bsonType": ["int", "long"], "minimum": 0},
                "created_at": {"bsonType": "date"},
                "expires_at": {"bsonType": "date"},
                "used_at": {"bsonType": ["date", "null"]},
            },
        }
    }

    async def replace(self, new: NewOneTimePassword) -> datetime:
        """Make this the only code of its account and purpose; returns when it expires."""
        update = [
            {
                "$set": {
                    "account_id": {"$literal": new.account_id},
                    "purpose": {"$literal": new.purpose},
                    "ticket_id": {"$literal": new.ticket_id},
                    "salt": {"$literal": new.salt},
                    "code_hash": {"$literal": new.code_hash},
                    "attempts_left": new.max_attempts,
                    "created_at": "$$NOW",
                    "expires_at": {"$add": ["$$NOW", round(new.ttl_seconds * 1000)]},
                    "used_at": None,
                }
            }
        ]
        async with database_errors():
            # MongoDB 4.2 and later itself repeats an upsert that lost a race for a unique key.
            document = await self._collection.find_one_and_update(
                {"_id": _key(new.account_id, new.purpose)},
                update,
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        return read_record(OneTimePasswordModel, document).expires_at

    async def take_attempt(self, *, account_id: str, purpose: str) -> Attempt | None:
        """Pay for one attempt before the code is looked at; None when there is none to be had."""
        wanted = {
            "_id": _key(account_id, purpose),
            "used_at": None,
            "attempts_left": {"$gt": 0},
            "$expr": _NOT_EXPIRED,
        }
        async with database_errors():
            document = await self._collection.find_one_and_update(wanted, {"$inc": {"attempts_left": -1}})
        if document is None:
            return None
        model = read_record(OneTimePasswordModel, document)
        if model.salt is None or model.code_hash is None:
            return None
        return Attempt(ticket_id=model.ticket_id, salt=model.salt, code_hash=model.code_hash)

    async def consume(self, *, account_id: str, purpose: str, ticket_id: str) -> bool:
        """Use the code up; False when it was used or replaced since the attempt was taken."""
        wanted = {"_id": _key(account_id, purpose), "ticket_id": ticket_id, "used_at": None}
        used = [{"$set": {"used_at": "$$NOW", "salt": None, "code_hash": None}}]
        async with database_errors():
            result = await self._collection.update_one(wanted, used)
        return result.modified_count == 1

    async def standing(self, *, account_id: str, purpose: str) -> Standing:
        """Why no attempt could be taken."""
        async with database_errors():
            document = await self._collection.find_one(
                {"_id": _key(account_id, purpose), "used_at": None},
                {"attempts_left": True, "open": _NOT_EXPIRED},
            )
        if document is None:
            return Standing.ABSENT
        if not document["open"]:
            return Standing.EXPIRED
        return Standing.OPEN if document["attempts_left"] > 0 else Standing.EXHAUSTED


def _key(account_id: str, purpose: str) -> str:
    # A purpose has no colon, so two pairs never share a key.
    return f"{purpose}:{account_id}"

"""Keeps one-time passwords in MongoDB: issue, attempts and use are conditional updates on its clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from pymongo import ASCENDING, IndexModel, ReturnDocument

from modules.application.records import read_record
from modules.application.repository import Document, Repository
from modules.authentication.internals.store.one_time_password_model import OneTimePasswordModel

# Kept for a day after expiry, so that a late answer is told "expired" and not "never sent".
_KEEP_EXPIRED_SECONDS = 24 * 60 * 60
_BY_ACCOUNT = "account"
_NOT_EXPIRED = {"$gt": ["$expires_at", "$$NOW"]}
_HOUR_MS = 60 * 60 * 1000


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
class IssueLimits:
    """How often an account may be sent a code for one purpose."""

    reissue_seconds: float
    codes_per_hour: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """The code stands until then, by the database's clock."""

    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueRefused:
    """The limits allow the next code in so many seconds."""

    retry_after_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The right to try one code, already paid for."""

    salt: bytes = field(repr=False)
    code_hash: bytes = field(repr=False)


class OneTimePasswordRepository(Repository):
    """The collection `one_time_passwords`, one an account and purpose; `expired` removes old ones.

    `account` finds those of one who is forgotten.
    """

    collection_name = "one_time_passwords"
    indexes: ClassVar[Sequence[IndexModel]] = (
        IndexModel([("expires_at", ASCENDING)], name="expired", expireAfterSeconds=_KEEP_EXPIRED_SECONDS),
        IndexModel([("account_id", ASCENDING)], name=_BY_ACCOUNT),
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
                "issued_at": {"bsonType": "array", "items": {"bsonType": "date"}},
            },
        }
    }

    async def issue(self, new: NewOneTimePassword, limits: IssueLimits) -> Issued | IssueRefused:
        """Make this the only code of its account and purpose, if the limits allow one now.

        One update decides and writes: of any number at once, in any processes, as many win as may.
        """
        may_be_issued = {"$lte": [{"$ifNull": [_next_issue(limits), "$$NOW"]}, "$$NOW"]}
        update: list[Document] = [
            {"$set": {"issued_at": _ISSUED_WITHIN_THE_HOUR}},
            {"$replaceWith": {"$cond": [may_be_issued, _document(new), "$$ROOT"]}},
        ]
        wait_ms = {"$subtract": [_next_issue(limits), "$$NOW"]}
        # MongoDB 4.2 and later itself repeats an upsert that lost a race for a unique key.
        document = await self._patience.repeated(
            lambda: self._collection.find_one_and_update(
                {"_id": _key(new.account_id, new.purpose)},
                update,
                projection={"ticket_id": True, "expires_at": True, "wait_ms": wait_ms},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        )
        # An upsert that gives back what it leaves behind always gives something back.
        assert document is not None
        if document["ticket_id"] == new.ticket_id:
            return Issued(expires_at=document["expires_at"])
        return IssueRefused(retry_after_seconds=max(document["wait_ms"], 1) / 1000)

    async def retract(self, *, account_id: str, purpose: str, ticket_id: str) -> None:
        """Make the code void that nobody was told, as if it had not been asked for."""
        not_this_one = {"$filter": {"input": "$issued_at", "cond": {"$ne": ["$$this", "$created_at"]}}}
        retracted = [
            {"$set": {"used_at": "$$NOW", "salt": None, "code_hash": None, "issued_at": not_this_one}}
        ]
        waiting = _waiting(account_id, purpose, ticket_id)
        await self._patience.repeated(lambda: self._collection.update_one(waiting, retracted))

    async def take_attempt(self, *, account_id: str, purpose: str, ticket_id: str) -> Attempt | None:
        """Pay for one attempt before the code is looked at; None when there is none to be had.

        Another ticket than that of the code has none, and costs none.
        """
        wanted = {
            **_waiting(account_id, purpose, ticket_id),
            "attempts_left": {"$gt": 0},
            "$expr": _NOT_EXPIRED,
        }
        document = await self._patience.once(
            lambda: self._collection.find_one_and_update(wanted, {"$inc": {"attempts_left": -1}})
        )
        if document is None:
            return None
        model = read_record(OneTimePasswordModel, document)
        if model.salt is None or model.code_hash is None:
            return None
        return Attempt(salt=model.salt, code_hash=model.code_hash)

    async def consume(self, *, account_id: str, purpose: str, ticket_id: str) -> bool:
        """Use the code up; False when it was used or replaced since the attempt was taken."""
        used = [{"$set": {"used_at": "$$NOW", "salt": None, "code_hash": None}}]
        waiting = _waiting(account_id, purpose, ticket_id)
        result = await self._patience.once(lambda: self._collection.update_one(waiting, used))
        return result.modified_count == 1

    async def erase(self, account_id: str) -> int:
        """Remove every code of the account; returns how many."""
        result = await self._patience.repeated(
            lambda: self._collection.delete_many({"account_id": account_id}, hint=_BY_ACCOUNT)
        )
        return result.deleted_count

    async def standing(self, *, account_id: str, purpose: str, ticket_id: str) -> Standing:
        """Why no attempt could be taken."""
        wanted, fields = (
            _waiting(account_id, purpose, ticket_id),
            {"attempts_left": True, "open": _NOT_EXPIRED},
        )
        document = await self._patience.repeated(lambda: self._collection.find_one(wanted, fields))
        if document is None:
            return Standing.ABSENT
        if not document["open"]:
            return Standing.EXPIRED
        return Standing.OPEN if document["attempts_left"] > 0 else Standing.EXHAUSTED


# A document of before has the time of its last code alone.
_ISSUED_WITHIN_THE_HOUR = {
    "$filter": {
        "input": {
            "$ifNull": ["$issued_at", {"$cond": [{"$gt": ["$created_at", None]}, ["$created_at"], []]}]
        },
        "cond": {"$gt": ["$$this", {"$subtract": ["$$NOW", _HOUR_MS]}]},
    }
}


def _next_issue(limits: IssueLimits) -> dict[str, Any]:
    """When the next code may be issued, by those of the last hour; null when nothing stands in its way."""
    # A command that waited for others has a $$NOW of before theirs, which is no reason without a limit.
    wait_ms = round(limits.reissue_seconds * 1000)
    soonest = {"$add": [{"$max": "$issued_at"}, wait_ms]} if wait_ms else None
    is_full = {"$gte": [{"$size": "$issued_at"}, limits.codes_per_hour]}
    first_of_the_last = {"$arrayElemAt": ["$issued_at", -limits.codes_per_hour]}
    return {"$max": [soonest, {"$cond": [is_full, {"$add": [first_of_the_last, _HOUR_MS]}, None]}]}


def _document(new: NewOneTimePassword) -> dict[str, Any]:
    return {
        "_id": "$_id",
        "account_id": {"$literal": new.account_id},
        "purpose": {"$literal": new.purpose},
        "ticket_id": {"$literal": new.ticket_id},
        "salt": {"$literal": new.salt},
        "code_hash": {"$literal": new.code_hash},
        "attempts_left": {"$literal": new.max_attempts},
        "created_at": "$$NOW",
        "expires_at": {"$add": ["$$NOW", round(new.ttl_seconds * 1000)]},
        "used_at": {"$literal": None},
        "issued_at": {"$concatArrays": ["$issued_at", ["$$NOW"]]},
    }


def _waiting(account_id: str, purpose: str, ticket_id: str) -> dict[str, Any]:
    return {"_id": _key(account_id, purpose), "ticket_id": ticket_id, "used_at": None}


def _key(account_id: str, purpose: str) -> str:
    # A purpose has no colon, so two pairs never share a key.
    return f"{purpose}:{account_id}"

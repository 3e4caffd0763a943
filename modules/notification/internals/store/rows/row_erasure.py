"""Takes what an account was told out of its rows; they stay, with what decides that nothing is sent again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from modules.application.repository import Document
from modules.application.store_patience import StorePatience
from modules.notification.internals.store.push_notification_repository import PushNotificationRepository
from modules.notification.internals.store.rows.row_claims import (
    appended_events,
    cancellation,
    ended_unanswered,
    event,
)
from modules.notification.types import ERASED, Status

ACCOUNT_ERASED_CODE = "account_erased"
_ROWS_A_COMMAND = 500
_BY_ACCOUNT = "account_newest"
_BY_ID = {"_id": 1}


class PushNotificationErasure:
    """Works on `push_notifications`. Methods raise UnavailableError when MongoDB does not answer."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._collection = database[PushNotificationRepository.collection_name]
        self._patience = StorePatience(database)

    async def withdraw(self, account_id: str) -> int:
        """Take the account's pending rows out of delivery; returns how many."""
        pending = {"account_id": account_id, "status": Status.PENDING.value, "active": True}
        result = await self._patience.repeated(
            lambda: self._collection.update_many(pending, cancellation(), hint=_BY_ACCOUNT)
        )
        return result.modified_count

    async def being_sent(self, account_id: str) -> int:
        """How many of the account's rows somebody has claimed."""
        claimed = {"account_id": account_id, "status": Status.PROCESSING.value}
        return await self._patience.repeated(
            lambda: self._collection.count_documents(claimed, hint=_BY_ACCOUNT)
        )

    async def interrupt(self, account_id: str) -> int:
        """End the rows that somebody has claimed, whose outcome the fence refuses then; returns how many."""
        claimed = {"account_id": account_id, "status": Status.PROCESSING.value}
        result = await self._patience.repeated(
            lambda: self._collection.update_many(claimed, _interruption(), hint=_BY_ACCOUNT)
        )
        return result.modified_count

    async def erase(self, account_id: str) -> int:
        """Empty the account's rows that are over, if they still hold something; returns how many did."""
        over = {"account_id": account_id, "finished_at": {"$exists": True}, **_holds_something()}
        documents = await self._patience.repeated(
            lambda: self._collection.find(over, {"_id": 1}, hint=_BY_ACCOUNT).to_list()
        )
        row_ids = [document["_id"] for document in documents]
        erased = 0
        for start in range(0, len(row_ids), _ROWS_A_COMMAND):
            erased += await self._empty(row_ids[start : start + _ROWS_A_COMMAND])
        return erased

    async def _empty(self, row_ids: Sequence[ObjectId]) -> int:
        result = await self._patience.repeated(
            lambda: self._collection.update_many(_over(row_ids), _emptying(), hint=_BY_ID)
        )
        return result.modified_count


def _over(row_ids: Sequence[ObjectId]) -> Document:
    return {"_id": {"$in": list(row_ids)}, "finished_at": {"$exists": True}}


def _interruption() -> list[Document]:
    """A claimed row's end: as far as its devices had answered before, that is its outcome."""
    return ended_unanswered(
        Status.FAILED,
        {
            "fence": {"$add": ["$fence", 1]},
            "error_type": ACCOUNT_ERASED_CODE,
            "events": appended_events(event("$$NOW", ACCOUNT_ERASED_CODE, "")),
        },
    )


def _holds_something() -> Document:
    return {
        "$or": [
            {"content_fingerprint": {"$exists": True, "$ne": ERASED}},
            {"idempotency_key": {"$exists": True}},
            {"correlation_id": {"$type": "string"}},
            {"error_message": {"$type": "string"}},
            {"provider_message_ids.0": {"$exists": True}},
            {"device_tokens_used.0": {"$exists": True}},
            {"invalid_tokens.0": {"$exists": True}},
            {"devices": {"$elemMatch": {"device_id": {"$ne": ERASED}}}},
            {"events": {"$elemMatch": {"detail": {"$ne": ""}}}},
        ]
    }


def _emptying() -> list[Document]:
    """What can say whom or what a row was about is replaced; a campaign's row has no content of its own."""
    texts = dict.fromkeys(("title", "body", "category", "content_fingerprint"), ERASED)
    absent = dict.fromkeys(("image_url", "click_action", "correlation_id", "error_message"))
    emptied: dict[str, Any] = {
        name: _where(name, "string", value) for name, value in {**texts, **absent}.items()
    }
    emptied |= {name: _where(name, "object", {}) for name in ("data", "options")}
    lists = ("provider_message_ids", "device_tokens_used", "invalid_tokens")
    emptied |= {name: _where(name, "array", []) for name in lists}
    nobody = {"device_id": ERASED, "message_id": None, "reason": ""}
    emptied |= {"devices": _each("devices", nobody), "events": _each("events", {"detail": ""})}
    return [{"$set": emptied}, {"$unset": ["idempotency_key"]}]


def _where(name: str, bson_type: str, value: object) -> Document:
    """The value, where the row has one of this type; what a row has not stays absent."""
    return {"$cond": [{"$eq": [{"$type": f"${name}"}, bson_type]}, {"$literal": value}, f"${name}"]}


def _each(name: str, values: Document) -> Document:
    changed = {
        "$map": {
            "input": f"${name}",
            "in": {"$mergeObjects": ["$$this", {"$literal": values}]},
        }
    }
    return {"$cond": [{"$isArray": f"${name}"}, changed, f"${name}"]}

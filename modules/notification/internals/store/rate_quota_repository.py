"""Keeps each provider credential's rate in MongoDB, where all worker processes share it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

from pymongo.errors import DuplicateKeyError

from modules.application.repository import Document, Repository
from modules.notification.internals.domain.rate_quota import FlowShare, RateState

_DATE = {"bsonType": "date"}
_TOKENS = {"bsonType": "double"}
_SCHEMA: dict[str, Any] = {
    "bsonType": "object",
    "required": [
        "version",
        "refilled_at",
        "free",
        "reserve",
        "flows",
        "ramp_started_at",
        "busy_at",
        "trickle_until",
        "paused_until",
        "pause_code",
    ],
    "additionalProperties": False,
    "properties": {
        "_id": {"bsonType": "string", "minLength": 1},
        "version": {"bsonType": ["int", "long"], "minimum": 1},
        "refilled_at": _DATE,
        "free": _TOKENS,
        "reserve": {"bsonType": "double", "minimum": 0},
        "flows": {
            "bsonType": "array",
            "items": {
                "bsonType": "object",
                "required": ["flow", "asked_at", "tokens"],
                "additionalProperties": False,
                "properties": {"flow": {"bsonType": "string"}, "asked_at": _DATE, "tokens": _TOKENS},
            },
        },
        "ramp_started_at": _DATE,
        "busy_at": _DATE,
        "trickle_until": _DATE,
        "paused_until": _DATE,
        "pause_code": {"bsonType": "string"},
    },
}


@dataclass(frozen=True, slots=True)
class StoredRate:
    """A state and the version it has in MongoDB; version 0 is not stored yet."""

    version: int
    state: RateState


class RateQuotaRepository(Repository):
    """The collection `provider_rates`, one document per app id.

    Times are kept in milliseconds, as BSON dates are. Methods raise UnavailableError when MongoDB does not
    answer.
    """

    collection_name: ClassVar[str] = "provider_rates"
    validator: ClassVar[Mapping[str, Any]] = {"$jsonSchema": _SCHEMA}

    async def read(self, app_id: str) -> StoredRate | None:
        document = await self._patience.repeated(lambda: self._collection.find_one({"_id": app_id}))
        return None if document is None else StoredRate(document["version"], _state_of(document))

    async def pauses(self, app_ids: Collection[str], *, after: datetime) -> dict[str, datetime]:
        """Until when each of these apps is paused; those whose pause is over at `after` are left out."""
        wanted = {"_id": {"$in": list(app_ids)}, "paused_until": {"$gt": after}}
        documents = await self._patience.repeated(
            lambda: self._collection.find(wanted, {"paused_until": 1}).to_list()
        )
        return {document["_id"]: document["paused_until"] for document in documents}

    async def replace_if(self, app_id: str, state: RateState, *, version: int) -> bool:
        """Store `state` as `version` + 1; False when `version` is not the stored one.

        False also where a first try had landed without an answer: permits are lost then, none is given twice.
        """
        document = {"version": version + 1, **_document_of(state)}
        return await self._patience.repeated(partial(self._replace, app_id, document, version))

    async def _replace(self, app_id: str, document: Document, version: int) -> bool:
        if version:
            result = await self._collection.replace_one({"_id": app_id, "version": version}, document)
            return result.matched_count == 1
        try:
            await self._collection.insert_one({"_id": app_id, **document})
        except DuplicateKeyError:
            return False
        return True


def _document_of(state: RateState) -> Document:
    return {
        "refilled_at": state.refilled_at,
        "free": state.free,
        "reserve": state.reserve,
        "flows": [
            {"flow": flow, "asked_at": share.asked_at, "tokens": share.tokens}
            for flow, share in state.flows.items()
        ],
        "ramp_started_at": state.ramp_started_at,
        "busy_at": state.busy_at,
        "trickle_until": state.trickle_until,
        "paused_until": state.paused_until,
        "pause_code": state.pause_code,
    }


def _state_of(document: Document) -> RateState:
    return RateState(
        refilled_at=document["refilled_at"],
        free=document["free"],
        reserve=document["reserve"],
        flows={
            each["flow"]: FlowShare(asked_at=each["asked_at"], tokens=each["tokens"])
            for each in document["flows"]
        },
        ramp_started_at=document["ramp_started_at"],
        busy_at=document["busy_at"],
        trickle_until=document["trickle_until"],
        paused_until=document["paused_until"],
        pause_code=document["pause_code"],
    )

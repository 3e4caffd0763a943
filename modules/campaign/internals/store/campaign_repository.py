"""Keeps campaigns in MongoDB; the unique key decides which of several equal requests makes the campaign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from bson import ObjectId
from pymongo import ASCENDING, DESCENDING, IndexModel, ReturnDocument
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.read_concern import ReadConcern

from modules.application.records import read_record, readable_records
from modules.application.repository import (
    SECONDS_PER_DAY,
    Document,
    Repository,
    confirm_majority,
    insert_once,
)
from modules.application.steady_clock import steady_seconds
from modules.campaign.errors import CampaignNotFoundError
from modules.campaign.internals.store.campaign_model import (
    CAMPAIGN_SCHEMA_VERSION,
    CampaignModel,
    PlanModel,
)
from modules.campaign.run_types import ENDED_STATES, FINAL_STATES, PAUSED_STATES
from modules.campaign.types import CampaignState

# Rows have their content here, and are many more to remove.
LONGER_THAN_ROWS_DAYS = 7
SLOW_ANSWER_SECONDS = 1.0
_COUNT_OR_NULL = {"bsonType": ["int", "long", "null"], "minimum": 0}
_FINAL = sorted(state.value for state in FINAL_STATES)
_OPEN = sorted(state.value for state in CampaignState if state not in FINAL_STATES)
# Nobody can take these back.
_LAST_WISHES = sorted(state.value for state in ENDED_STATES)
_SCHEMA: dict[str, Any] = {
    "bsonType": "object",
    "required": [
        "schema_version",
        "campaign_key",
        "fingerprint",
        "state",
        "audience",
        "content",
        "dry_run",
        "created_at",
        "updated_at",
    ],
    "properties": {
        "_id": {"bsonType": "objectId"},
        "schema_version": {"enum": [CAMPAIGN_SCHEMA_VERSION]},
        "campaign_key": {"bsonType": "string", "minLength": 1},
        "fingerprint": {"bsonType": "string", "minLength": 1},
        "state": {"enum": [state.value for state in CampaignState]},
        "reason": {"bsonType": ["string", "null"]},
        "audience": {"bsonType": "object", "required": ["kind"]},
        "content": {"bsonType": "object", "required": ["title", "body", "category", "content_fingerprint"]},
        "expires_at": {"bsonType": ["date", "null"]},
        "rate_per_second": {"bsonType": ["double", "null"]},
        "rollout": {"bsonType": ["object", "null"]},
        "dry_run": {"bsonType": "bool"},
        "accounts": _COUNT_OR_NULL,
        "pages": _COUNT_OR_NULL,
        "plan": {"bsonType": ["object", "null"]},
        "created_at": {"bsonType": "date"},
        "updated_at": {"bsonType": "date"},
        "finished_at": {"bsonType": "date"},
        "wish": {
            "bsonType": "object",
            "required": ["kind", "at"],
            "properties": {
                "kind": {"enum": ["paused", "running", *_LAST_WISHES]},
                "at": {"bsonType": "date"},
                "reason": {"bsonType": ["string", "null"]},
            },
        },
        "failed_runs": {"bsonType": "object", "required": ["count", "run_id", "code"]},
        "rate_untold": {"bsonType": "bool"},
    },
}


def _validator() -> dict[str, Any]:
    """The JSON schema; and a campaign is finished exactly in its final states."""
    is_finished = {"$ne": [{"$type": "$finished_at"}, "missing"]}
    return {
        "$and": [{"$jsonSchema": _SCHEMA}, {"$expr": {"$eq": [{"$in": ["$state", _FINAL]}, is_finished]}}]
    }


class CampaignRepository(Repository):
    """The collection `campaigns`. Methods raise UnavailableError when MongoDB does not answer."""

    collection_name: ClassVar[str] = "campaigns"
    validator: ClassVar[Mapping[str, Any]] = _validator()

    def __init__(
        self,
        database: AsyncDatabase[Document],
        *,
        retention_days: float,
        slow_answer_seconds: float = SLOW_ANSWER_SECONDS,
    ) -> None:
        """`slow_answer_seconds`: what `get_latest` asks again after."""
        super().__init__(database)
        self._retention_days = retention_days
        self._slow_answer_seconds = slow_answer_seconds
        # A primary that stood still answers from before, until it hears of its successor. Always to ask like
        # this costs a commit of the journal, up to 100 ms.
        self._latest = self._collection.with_options(read_concern=ReadConcern("linearizable"))

    def index_models(self) -> Sequence[IndexModel]:
        return [
            IndexModel([("campaign_key", ASCENDING)], name="campaign_key", unique=True),
            IndexModel([("created_at", DESCENDING)], name="newest"),
            IndexModel([("state", ASCENDING), ("created_at", ASCENDING)], name="unfinished"),
            IndexModel(
                [("finished_at", ASCENDING)],
                name="retention",
                expireAfterSeconds=int((self._retention_days + LONGER_THAN_ROWS_DAYS) * SECONDS_PER_DAY),
            ),
        ]

    async def insert(self, campaign: CampaignModel) -> bool:
        """Store a new campaign, durable on a majority; False when its key is taken already."""
        document = campaign.to_document()
        return await self._patience.repeated(lambda: insert_once(self._collection, document))

    async def confirm(self, campaign_id: ObjectId) -> bool:
        """Whether the campaign is there, durable on a majority; UnavailableError where nobody can tell."""
        return await self._patience.repeated(lambda: confirm_majority(self._collection, campaign_id))

    async def get(self, campaign_id: ObjectId) -> CampaignModel:
        """The campaign of this id; raises CampaignNotFoundError."""
        document = await self._patience.repeated(lambda: self._collection.find_one({"_id": campaign_id}))
        if document is None:
            raise CampaignNotFoundError
        return read_record(CampaignModel, document)

    async def get_latest(self, campaign_id: ObjectId) -> CampaignModel:
        """As `get`; an answer that took long is asked for again, with all that was confirmed meanwhile."""
        asked = steady_seconds()
        campaign = await self.get(campaign_id)
        if steady_seconds() - asked < self._slow_answer_seconds:
            return campaign
        document = await self._patience.repeated(lambda: self._latest.find_one({"_id": campaign_id}))
        if document is None:
            raise CampaignNotFoundError
        return read_record(CampaignModel, document)

    async def find_by_key(self, campaign_key: str) -> CampaignModel | None:
        wanted = {"campaign_key": campaign_key}
        document = await self._patience.repeated(lambda: self._collection.find_one(wanted))
        return None if document is None else read_record(CampaignModel, document)

    async def newest(self, *, limit: int, before: datetime | None) -> list[CampaignModel]:
        """Campaigns created before `before`, newest first."""
        wanted: Document = {} if before is None else {"created_at": {"$lt": before}}
        documents = await self._patience.repeated(
            lambda: self._collection.find(wanted).sort("created_at", DESCENDING).limit(limit).to_list()
        )
        return readable_records(CampaignModel, documents, action="campaign.unreadable")

    async def unfinished(self, *, limit: int) -> list[ObjectId]:
        """Ids of campaigns in no final state, oldest first within a state."""
        wanted = {"state": {"$in": _OPEN}}
        documents = await self._patience.repeated(
            lambda: self._collection.find(wanted, {"_id": 1}, hint="unfinished").limit(limit).to_list()
        )
        return [document["_id"] for document in documents]

    async def record_state(
        self, campaign_id: ObjectId, state: CampaignState, *, reason: str | None
    ) -> CampaignModel:
        """Take a campaign to `state` unless it is finished; returns it as it is then.

        A wish that this fulfils is taken away; another one, which came meanwhile, stays.
        """
        change: Document = {
            "state": state.value,
            "reason": {"$literal": reason},
            "updated_at": "$$NOW",
            "wish": {"$cond": [{"$in": ["$wish.kind", _fulfilled_by(state)]}, "$$REMOVE", "$wish"]},
        }
        if state in FINAL_STATES:
            change["finished_at"] = "$$NOW"
        return await self._change({"_id": campaign_id, "state": {"$in": _OPEN}}, change)

    async def fix_extent(self, campaign_id: ObjectId, *, accounts: int, pages: int) -> CampaignModel:
        """Say once how large the audience is; returns the campaign with what was said first."""
        change = {"accounts": accounts, "pages": pages, "updated_at": "$$NOW"}
        return await self._change({"_id": campaign_id, "accounts": None}, change)

    async def wish(
        self, campaign_id: ObjectId, kind: CampaignState, *, reason: str | None = None
    ) -> CampaignModel:
        """Say what is to become of a campaign, durable on a majority; returns it as it is then.

        The last word counts, but one that ends the campaign stays. What is paused already needs no wish.
        """
        change: Document = {
            "wish": {"kind": kind.value, "at": "$$NOW", "reason": {"$literal": reason}},
            "updated_at": "$$NOW",
        }
        if kind is CampaignState.PAUSED:
            paused = {"$in": ["$state", sorted(state.value for state in PAUSED_STATES)]}
            is_so = {"$and": [paused, {"$eq": [{"$type": "$wish"}, "missing"]}]}
            change["wish"] = {"$cond": [is_so, "$$REMOVE", change["wish"]]}
        wanted = {"_id": campaign_id, "state": {"$in": _OPEN}, "wish.kind": {"$nin": _LAST_WISHES}}
        return await self._change(wanted, change)

    async def count_failed_run(self, campaign_id: ObjectId, *, run_id: str, code: str) -> CampaignModel:
        """Count a run of an unfinished campaign that could not go on, once; returns the campaign."""
        counted = {"$eq": ["$failed_runs.run_id", {"$literal": run_id}]}
        before = {"$ifNull": ["$failed_runs.count", 0]}
        change: Document = {
            "failed_runs": {
                "count": {"$cond": [counted, before, {"$add": [before, 1]}]},
                "run_id": {"$literal": run_id},
                "code": {"$cond": [counted, "$failed_runs.code", {"$literal": code}]},
            },
            "updated_at": "$$NOW",
        }
        return await self._change({"_id": campaign_id, "state": {"$in": _OPEN}}, change)

    async def store_rate(self, campaign_id: ObjectId, rate_per_second: float | None) -> CampaignModel:
        """Change the rate of a campaign that is not finished; returns it as it is then.

        Its run has to be told: `rate_is_told` says that it was.
        """
        rate = None if rate_per_second is None else float(rate_per_second)
        change = {"rate_per_second": rate, "rate_untold": True, "updated_at": "$$NOW"}
        return await self._change({"_id": campaign_id, "state": {"$in": _OPEN}}, change)

    async def rate_is_told(self, campaign_id: ObjectId, rate_per_second: float | None) -> CampaignModel:
        """The run was told this rate; where it has become another one, that is to be told still."""
        is_so = {"$eq": [{"$ifNull": ["$rate_per_second", None]}, rate_per_second]}
        change = {"rate_untold": {"$cond": [is_so, "$$REMOVE", True]}}
        return await self._change({"_id": campaign_id}, change)

    async def store_plan(self, campaign_id: ObjectId, plan: PlanModel) -> CampaignModel:
        """End a dry run with its plan, unless it is finished; returns the campaign as it is then."""
        change = {
            "plan": {"$literal": plan.model_dump()},
            "state": CampaignState.PLANNED.value,
            "accounts": plan.accounts,
            "finished_at": "$$NOW",
            "updated_at": "$$NOW",
        }
        return await self._change({"_id": campaign_id, "state": {"$in": _OPEN}}, change)

    async def _change(self, condition: Document, change: Document) -> CampaignModel:
        # Repeated after it had landed, it finds its own work done: the condition or the values say so.
        document = await self._patience.repeated(
            lambda: self._collection.find_one_and_update(
                condition, [{"$set": change}], return_document=ReturnDocument.AFTER
            )
        )
        if document is None:
            return await self.get(condition["_id"])
        return read_record(CampaignModel, document)


def _fulfilled_by(state: CampaignState) -> list[str]:
    """The wishes that are granted once this state is recorded; with its end, all are."""
    if state in FINAL_STATES:
        return [wish.value for wish in CampaignState]
    if state in PAUSED_STATES:
        return [CampaignState.PAUSED.value]
    return [CampaignState.RUNNING.value]

"""Keeps a campaign's audience in MongoDB as pages of account ids, and what became of each page."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

from bson import ObjectId
from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.asynchronous.database import AsyncDatabase

from modules.application.repository import SECONDS_PER_DAY, Document, Repository, insert_once
from modules.campaign.errors import CampaignPageNotFoundError
from modules.campaign.run_types import PAGE_ACCOUNTS

_SCHEMA: dict[str, Any] = {
    "bsonType": "object",
    "required": ["campaign_id", "number", "account_ids", "tally", "retry_at"],
    "additionalProperties": False,
    "properties": {
        "_id": {"bsonType": "objectId"},
        "campaign_id": {"bsonType": "objectId"},
        "number": {"bsonType": "int", "minimum": 0},
        "account_ids": {
            "bsonType": "array",
            "minItems": 1,
            "maxItems": PAGE_ACCOUNTS,
            "items": {"bsonType": "string", "minLength": 1},
        },
        "tally": {
            "bsonType": "object",
            "additionalProperties": {"bsonType": ["int", "long"], "minimum": 0},
        },
        "retry_at": {"bsonType": ["date", "null"]},
        "finished_at": {"bsonType": "date"},
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much of an audience is stored; `last_account_id` is the last one of the last page."""

    pages: int = 0
    accounts: int = 0
    last_account_id: str | None = None

    @property
    def has_end(self) -> bool:
        """Whether the last page is one after which none can come."""
        return self.accounts < self.pages * PAGE_ACCOUNTS

    def with_page(self, account_ids: Sequence[str]) -> Extent:
        return Extent(
            pages=self.pages + 1,
            accounts=self.accounts + len(account_ids),
            last_account_id=account_ids[-1],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignPage:
    """The accounts of a page; `is_visited`: what became of some of them has been counted."""

    account_ids: list[str]
    is_visited: bool


class CampaignPageRepository(Repository):
    """The collection `campaign_pages`. A page is written once; only its tally changes.

    Methods raise UnavailableError when MongoDB does not answer.
    """

    collection_name: ClassVar[str] = "campaign_pages"
    validator: ClassVar[Mapping[str, Any]] = {"$jsonSchema": _SCHEMA}

    def __init__(self, database: AsyncDatabase[Document], *, retention_days: float) -> None:
        super().__init__(database)
        self._retention_days = retention_days

    def index_models(self) -> Sequence[IndexModel]:
        return [
            IndexModel([("campaign_id", ASCENDING), ("number", ASCENDING)], name="page", unique=True),
            # Counts are read without the account ids, of which a page has some 20 KB.
            IndexModel([("campaign_id", ASCENDING), ("tally", ASCENDING)], name="tallies"),
            IndexModel(
                [("finished_at", ASCENDING)],
                name="retention",
                expireAfterSeconds=int(self._retention_days * SECONDS_PER_DAY),
            ),
        ]

    async def insert(
        self,
        campaign_id: ObjectId,
        number: int,
        account_ids: Sequence[str],
        *,
        finished_at: datetime | None = None,
    ) -> bool:
        """Store a page of 1 to 1,000 accounts; False, with nothing changed, when it is there already.

        `finished_at` is for one that belongs to no campaign yet: `keep` takes it away, or retention the page.
        """
        page: Document = {
            "campaign_id": campaign_id,
            "number": number,
            "account_ids": list(account_ids),
            "tally": {},
            "retry_at": None,
        }
        if finished_at is not None:
            page["finished_at"] = finished_at
        return await self._patience.repeated(partial(insert_once, self._collection, page))

    async def get(self, campaign_id: ObjectId, number: int) -> CampaignPage:
        """A page; raises CampaignPageNotFoundError."""
        page = await self._patience.repeated(
            lambda: self._collection.find_one(
                {"campaign_id": campaign_id, "number": number}, {"account_ids": 1, "tally": 1}, hint="page"
            )
        )
        if page is None:
            raise CampaignPageNotFoundError
        return CampaignPage(account_ids=page["account_ids"], is_visited=bool(page["tally"]))

    async def extent(self, campaign_id: ObjectId) -> Extent:
        """How much is stored, as the last page says."""
        last = await self._patience.repeated(
            lambda: self._collection.find_one(
                {"campaign_id": campaign_id}, sort=[("number", DESCENDING)], hint="page"
            )
        )
        if last is None:
            return Extent()
        full = Extent(pages=last["number"], accounts=last["number"] * PAGE_ACCOUNTS)
        return full.with_page(last["account_ids"])

    async def store_tally(
        self, campaign_id: ObjectId, number: int, tally: Mapping[str, int], *, retry_at: datetime | None
    ) -> None:
        """Say what became of a page's accounts and when it is to be visited again; not of a closed page.

        Nobody else closes pages while slices are delivered: one that comes too late was lost before.
        """
        open_page = {"campaign_id": campaign_id, "number": number, "finished_at": {"$exists": False}}
        change = {"$set": {"tally": dict(tally), "retry_at": retry_at}}
        await self._patience.repeated(lambda: self._collection.update_one(open_page, change, hint="page"))

    async def close(self, campaign_id: ObjectId, number: int, tally: Mapping[str, int]) -> None:
        """Say for good what became of a page's accounts, and leave it to retention."""
        change = {
            "$set": {"tally": dict(tally), "retry_at": None},
            "$currentDate": {"finished_at": True},
        }
        await self._patience.repeated(
            lambda: self._collection.update_one(
                {"campaign_id": campaign_id, "number": number}, change, hint="page"
            )
        )

    async def tallies(self, campaign_ids: Collection[ObjectId]) -> dict[ObjectId, dict[str, int]]:
        """The sums over all pages of each campaign; every campaign is a key."""
        pipeline: list[Document] = [
            {"$match": {"campaign_id": {"$in": list(campaign_ids)}}},
            {"$project": {"_id": 0, "campaign_id": 1, "tally": 1}},
            {"$set": {"tally": {"$objectToArray": "$tally"}}},
            {"$unwind": "$tally"},
            {
                "$group": {
                    "_id": {"campaign_id": "$campaign_id", "word": "$tally.k"},
                    "count": {"$sum": "$tally.v"},
                }
            },
        ]
        sums: dict[ObjectId, dict[str, int]] = {campaign_id: {} for campaign_id in campaign_ids}

        async def counted() -> list[Document]:
            return await (await self._collection.aggregate(pipeline, hint="tallies")).to_list()

        for group in await self._patience.repeated(counted):
            sums[group["_id"]["campaign_id"]][group["_id"]["word"]] = group["count"]
        return sums

    async def keep(self, campaign_id: ObjectId) -> None:
        """Take the pages over for a campaign: retention leaves them alone until it is finished."""
        await self._change_all(campaign_id, {"$unset": {"finished_at": ""}})

    async def finish(self, campaign_id: ObjectId) -> None:
        """Leave the pages to retention from now on."""
        await self._change_all(campaign_id, {"$currentDate": {"finished_at": True}})

    async def _change_all(self, campaign_id: ObjectId, change: Document) -> None:
        await self._patience.repeated(
            lambda: self._collection.update_many({"campaign_id": campaign_id}, change, hint="page")
        )

    async def delete(self, campaign_id: ObjectId) -> None:
        """Remove every page."""
        await self._patience.repeated(
            lambda: self._collection.delete_many({"campaign_id": campaign_id}, hint="page")
        )

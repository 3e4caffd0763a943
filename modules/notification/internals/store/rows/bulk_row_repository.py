"""Writes and counts the rows of a bulk's page; they live in `push_notifications` with all others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError

from modules.application.mongo_errors import DUPLICATE_KEY
from modules.application.repository import Document, one_batch
from modules.application.store_patience import StorePatience
from modules.notification.bulk_types import CANCELLED, DUPLICATE, PageOutcome, PageRows
from modules.notification.internals.store.rows.bulk_rows import new_bulk_row
from modules.notification.internals.store.rows.row_claims import (
    cancellation,
    claim_is_lost,
    lost_ending,
)
from modules.notification.internals.store.rows.row_schema import COLLECTION_NAME
from modules.notification.types import Status

_BY_ID = {"_id": 1}
_OPEN = (Status.PENDING.value, Status.PROCESSING.value)
_FIELDS_OF_DUE = {
    "status": 1,
    "active": 1,
    "created_at": 1,
    "next_retry_at": 1,
    "expires_at": 1,
    "claim.lease_expires_at": 1,
}


class BulkRowRepository:
    """Methods raise UnavailableError when MongoDB does not answer."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._collection = database[COLLECTION_NAME]
        self._patience = StorePatience(database)

    async def write(
        self,
        rows: PageRows,
        *,
        expires_at: datetime | None,
        now: datetime,
        add_missing: bool = True,
        is_first_visit: bool = False,
    ) -> list[ObjectId]:
        """Have a row for each account, durable on a majority; returns the ids of those due now.

        Not `add_missing`: accounts without a row get none. `is_first_visit`: as a rule there are no rows yet,
        and they are looked for only where they turn out to be there.
        """
        row_ids: Mapping[str, ObjectId] = rows.row_ids
        bulk_id = ObjectId(rows.bulk_id)

        def rows_for(account_ids: Iterable[str]) -> list[Document]:
            return [
                new_bulk_row(row_ids[each], bulk_id, rows.page, each, expires_at=expires_at, now=now)
                for each in account_ids
            ]

        ids = list(row_ids.values())
        if add_missing and is_first_visit and await self._insert(rows_for(row_ids)):
            return ids
        known = await self._due_by_id(ids, now)
        missing = [account_id for account_id, row_id in row_ids.items() if row_id not in known]
        if missing and add_missing:
            await self._insert(rows_for(missing))
        return [row_id for row_id in ids if known.get(row_id, add_missing)]

    async def _due_by_id(self, row_ids: Sequence[ObjectId], now: datetime) -> dict[ObjectId, bool]:
        """Those rows that exist, and whether each is due now."""
        batch_size = one_batch(len(row_ids))
        found = await self._patience.repeated(
            lambda: self._collection.find(
                {"_id": {"$in": row_ids}}, _FIELDS_OF_DUE, hint=_BY_ID, batch_size=batch_size
            ).to_list()
        )
        return {row["_id"]: _is_due(row, now) for row in found}

    async def _insert(self, rows: list[Document]) -> bool:
        """Have the rows stored; False when some of them were there already."""

        async def insert() -> bool:
            try:
                await self._collection.insert_many(rows, ordered=False)
            except BulkWriteError as error:
                if not _are_there_already(error):
                    raise
                return False
            return True

        return await self._patience.repeated(insert)

    async def cancel(self, rows: PageRows) -> None:
        """Take those of these rows that are pending out of delivery, and end those whose worker was lost."""
        ids = {"_id": {"$in": list(rows.row_ids.values())}}
        pending = {**ids, "status": Status.PENDING.value, "active": True}
        lost = {**ids, **claim_is_lost()}
        await self._patience.repeated(
            lambda: self._collection.update_many(pending, cancellation(), hint=_BY_ID)
        )
        await self._patience.repeated(lambda: self._collection.update_many(lost, lost_ending(), hint=_BY_ID))

    async def accounts_of_page(self, bulk_id: str, page: int) -> list[str]:
        """The accounts with a row written for a page that was lost. It reads every row there is."""
        wanted = {"campaign.id": ObjectId(bulk_id), "campaign.page": page}
        found = await self._patience.repeated(
            lambda: self._collection.find(wanted, {"account_id": 1}).to_list()
        )
        return [row["account_id"] for row in found]

    async def tally(self, rows: PageRows) -> PageOutcome:
        """What became of the page's accounts; those without a row are not counted."""
        groups = await self._patience.repeated(lambda: self._grouped(rows.page, list(rows.row_ids.values())))
        counts: Counter[str] = Counter()
        open_until: list[datetime] = []
        for group in groups:
            if not group["is_of_page"]:
                counts[DUPLICATE] += group["rows"]
                continue
            counts[_word_for(group)] += group["rows"]
            moment = _next_moment(group)
            if moment is not None:
                open_until.append(moment)
        counts[DUPLICATE] += await self._named_again(rows)
        return PageOutcome(counts=dict(+counts), open_until=min(open_until, default=None))

    async def _grouped(self, page: int, row_ids: Sequence[ObjectId]) -> list[Document]:
        """The rows by what became of them: a group is as one row, with first moments, and its `rows`."""
        alike = {name: f"${name}" for name in ("status", "active", "error_type")}
        claim = {"lease_expires_at": "$lease_ends_at"}
        pipeline: list[Document] = [
            {"$match": {"_id": {"$in": row_ids}}},
            {
                "$group": {
                    "_id": {**alike, "is_of_page": {"$eq": ["$campaign.page", page]}},
                    "rows": {"$sum": 1},
                    "next_retry_at": {"$min": {"$ifNull": ["$next_retry_at", "$created_at"]}},
                    "lease_ends_at": {"$min": "$claim.lease_expires_at"},
                }
            },
            {"$replaceWith": {"$mergeObjects": ["$$ROOT", "$_id", {"claim": claim}]}},
        ]
        cursor = await self._collection.aggregate(pipeline, hint=_BY_ID)
        return await cursor.to_list()

    async def _named_again(self, rows: PageRows) -> int:
        """How many names the accounts that have rows are given beyond their first."""
        if len(rows.account_ids) == len(rows.row_ids):
            return 0
        times_named = Counter(rows.account_ids).items()
        again = {rows.row_ids[each]: times - 1 for each, times in times_named if times > 1}
        wanted = {"_id": {"$in": list(again)}}
        found = await self._patience.repeated(
            lambda: self._collection.find(wanted, {"_id": 1}, hint=_BY_ID).to_list()
        )
        return sum(again[row["_id"]] for row in found)


def _are_there_already(error: BulkWriteError) -> bool:
    """Whether every row that was refused exists, and a majority has them all."""
    problems = error.details.get("writeErrors", [])
    are_there = bool(problems) and all(problem["code"] == DUPLICATE_KEY for problem in problems)
    return are_there and not error.details.get("writeConcernErrors")


def _is_due(row: Document, now: datetime) -> bool:
    """Whether a delivery would find something to do, if only to say that the row has expired."""
    if not row["active"] or row["status"] not in _OPEN:
        return False
    moment = _next_moment(row)
    expires_at = row.get("expires_at")
    return (moment is not None and moment <= now) or (expires_at is not None and expires_at <= now)


def _word_for(row: Document) -> str:
    if not row["active"]:
        return CANCELLED
    status: str = row["status"]
    return f"{status}:{row.get('error_type') or 'unknown'}" if status == Status.FAILED.value else status


def _next_moment(row: Document) -> datetime | None:
    """When an open row can be tried again; rows written and never tried are due since they exist."""
    if not row["active"]:
        return None
    moment: datetime | None = None
    if row["status"] == Status.PENDING.value:
        moment = row.get("next_retry_at") or row["created_at"]
    elif row["status"] == Status.PROCESSING.value:
        moment = row["claim"]["lease_expires_at"]
    return moment

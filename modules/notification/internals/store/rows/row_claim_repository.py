"""Claims rows and keeps them claimed: who delivers a row is decided by one conditional write."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from uuid import uuid4

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.asynchronous.database import AsyncDatabase

from modules.application.errors import ServiceError, UnavailableError
from modules.application.records import readable_records
from modules.application.repository import Document, one_batch
from modules.application.store_patience import StorePatience
from modules.notification.internals.domain.deferrals import LET_GO_SECONDS
from modules.notification.internals.store.push_notification_model import (
    DEFAULT_MAX_LOST_CLAIMS,
    PushNotificationModel,
)
from modules.notification.internals.store.rows import row_claims as claims
from modules.notification.internals.store.rows.row_schema import COLLECTION_NAME
from modules.notification.internals.store.rows.shared_contents import SharedContents
from modules.notification.types import Status

# Without the hint the planner tries the indexes on status against each other, at the price of some 15 ms.
_BY_ID = {"_id": 1}
# Delivery adds to these without looking.
_UNSEEN_BY_DELIVERY = {"events": 0}
_OF_ANOTHER_VERSION = "this version cannot read the row"


class RowClaimRepository:
    """Claims in `push_notifications`. Methods raise UnavailableError when MongoDB does not answer."""

    def __init__(
        self, database: AsyncDatabase[Document], *, max_lost_claims: int = DEFAULT_MAX_LOST_CLAIMS
    ) -> None:
        self._collection = database[COLLECTION_NAME]
        self._patience = StorePatience(database)
        self._contents = SharedContents(database)
        self._max_lost_claims = max_lost_claims

    async def claim(
        self, row_ids: Sequence[ObjectId], *, owner: str, lease_seconds: float
    ) -> list[PushNotificationModel]:
        """Claim every due row among `row_ids` and return them as they are now.

        One row costs one round trip; more cost two, whatever their number.
        """
        claim_id = uuid4().hex
        update = claims.claim_update(claim_id=claim_id, owner=owner, lease_seconds=lease_seconds)
        condition = claims.claimable(row_ids, max_lost_claims=self._max_lost_claims)
        take = partial(self._take_one if len(row_ids) == 1 else self._take_many, condition, update)
        mine = {"_id": {"$in": list(row_ids)}, "claim.id": claim_id}
        try:
            documents = await self._contents.complete(await self._patience.repeated(partial(take, mine)))
        except UnavailableError:
            await self._let_go_quietly(row_ids, claim_id)
            raise
        rows = readable_records(PushNotificationModel, documents, action="push.unreadable")
        if len(rows) < len(documents):
            unreadable = {document["_id"] for document in documents} - {row.id for row in rows}
            await self._let_go(
                list(unreadable), claim_id=claim_id, seconds=LET_GO_SECONDS, reason=_OF_ANOTHER_VERSION
            )
        return rows

    async def _let_go_quietly(self, row_ids: Sequence[ObjectId], claim_id: str) -> None:
        """What may have been claimed without anybody knowing; else it is left to its lease."""
        with suppress(ServiceError):
            await self._let_go(row_ids, claim_id=claim_id, seconds=0, reason="MongoDB did not answer in time")

    async def _take_one(self, condition: Document, update: list[Document], mine: Document) -> list[Document]:
        document = await self._collection.find_one_and_update(
            condition, update, return_document=ReturnDocument.AFTER, hint=_BY_ID
        )
        if document is None:
            # Taken already by a try whose answer was lost?
            document = await self._collection.find_one(mine, hint=_BY_ID)
        return [] if document is None else [document]

    async def _take_many(self, condition: Document, update: list[Document], mine: Document) -> list[Document]:
        await self._collection.update_many(condition, update, hint=_BY_ID)
        return await self._collection.find(
            mine, _UNSEEN_BY_DELIVERY, hint=_BY_ID, batch_size=one_batch(len(mine["_id"]["$in"]))
        ).to_list()

    async def let_go(self, rows: Sequence[PushNotificationModel], *, seconds: float, reason: str) -> int:
        """Take claimed rows back to pending, due in `seconds`; returns how many were still held.

        For what another process, or another time, can deliver: no claim is lost, no retry spent. `reason` is
        for the row's timeline.
        """
        held: dict[str, list[ObjectId]] = {}
        for row in rows:
            assert row.claim is not None
            held.setdefault(row.claim.id, []).append(row.id)
        counts = [
            await self._let_go(row_ids, claim_id=claim_id, seconds=seconds, reason=reason)
            for claim_id, row_ids in held.items()
        ]
        return sum(counts)

    async def _let_go(
        self, row_ids: Sequence[ObjectId], *, claim_id: str, seconds: float, reason: str
    ) -> int:
        """Take rows held under `claim_id` back to pending, due in `seconds`; returns how many were held.

        No claim is lost by it, and what `at_most_once` had dispatched is handed on to the next claim.
        """
        held = {
            "_id": {"$in": list(row_ids)},
            "claim.id": claim_id,
            "status": Status.PROCESSING.value,
        }
        update = claims.letting_go(seconds=seconds, reason=reason)
        result = await self._patience.repeated(
            lambda: self._collection.update_many(held, update, hint=_BY_ID)
        )
        return result.matched_count

    async def renew(self, row_ids: Sequence[ObjectId], *, claim_id: str, lease_seconds: float) -> int:
        """Extend the leases still held under `claim_id`; returns how many are."""
        held = {
            "_id": {"$in": list(row_ids)},
            "claim.id": claim_id,
            "status": Status.PROCESSING.value,
        }
        update = claims.renewal(lease_seconds)
        result = await self._patience.repeated(
            lambda: self._collection.update_many(held, update, hint=_BY_ID)
        )
        return result.matched_count

    async def mark_dispatched(self, row: PushNotificationModel, device_ids: Sequence[str]) -> bool:
        """Note whom a message is about to be handed over for; False when the claim is lost."""
        held = {"_id": row.id, "fence": row.fence, "status": Status.PROCESSING.value}
        change = {"$addToSet": {"claim.dispatched": {"$each": list(device_ids)}}}
        result = await self._patience.repeated(lambda: self._collection.update_one(held, change))
        return result.matched_count == 1

    async def suspects(self, row_ids: Sequence[ObjectId]) -> list[list[ObjectId]]:
        """Rows that a claim of all `row_ids` leaves out, in groups to claim: one may kill who reads it."""
        condition = claims.suspects(row_ids, max_lost_claims=self._max_lost_claims)
        documents = await self._patience.repeated(
            lambda: self._collection.find(condition, {"lost_claims": 1}, hint=_BY_ID).to_list()
        )
        return claims.in_groups({document["_id"]: document["lost_claims"] for document in documents})

    async def end_lost(self, row_ids: Sequence[ObjectId]) -> int:
        """End those of `row_ids` whose claim was lost once too often; returns how many."""
        lost = {
            "_id": {"$in": list(row_ids)},
            **claims.claim_is_lost(),
            "lost_claims": {"$gte": self._max_lost_claims - 1},
        }
        reason = f"its claim was lost {self._max_lost_claims} times; messages may have been accepted"
        result = await self._patience.repeated(
            lambda: self._collection.update_many(lost, claims.lost_ending(reason), hint=_BY_ID)
        )
        return result.modified_count

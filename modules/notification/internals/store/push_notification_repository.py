"""Keeps push notifications in MongoDB; every change of a row is one conditional write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from bson import ObjectId
from pymongo import DESCENDING, IndexModel
from pymongo.asynchronous.database import AsyncDatabase

from modules.application.records import read_record, readable_records
from modules.application.repository import (
    Document,
    Repository,
    confirm_majority,
    insert_once,
)
from modules.application.steady_clock import steady_seconds
from modules.notification.internals.store.push_notification_model import (
    PushNotificationModel,
)
from modules.notification.internals.store.receipt_repository import ReceiptRepository
from modules.notification.internals.store.rows import row_claims as claims
from modules.notification.internals.store.rows.due_rows import DueRowReader
from modules.notification.internals.store.rows.row_outcomes import (
    RowChange,
    by_shape,
    outcome_condition,
    outcome_update,
)
from modules.notification.internals.store.rows.row_schema import (
    COLLECTION_NAME,
    MESSAGE_INDEX,
    indexes,
    validator,
)
from modules.notification.internals.store.rows.row_standing import (
    FIELDS_OF_STANDING,
    RowStanding,
    standing_of,
)
from modules.notification.internals.store.rows.shared_contents import SharedContents
from modules.notification.types import Status

# Without the hint the planner tries the indexes on status against each other, at the price of some 15 ms.
_BY_ID = {"_id": 1}
_MESSAGES = {"provider_message_ids": 1}
LONGEST_APPLY_SECONDS = 60.0
_UNSETTLED = (Status.PENDING.value, Status.PROCESSING.value)


class PushNotificationRepository(Repository):
    """The collection `push_notifications`. Methods raise UnavailableError when MongoDB does not answer."""

    collection_name: ClassVar[str] = COLLECTION_NAME
    validator: ClassVar[Mapping[str, Any]] = validator()
    validator_version: ClassVar[int] = 2

    def __init__(
        self,
        database: AsyncDatabase[Document],
        *,
        retention_days: float,
    ) -> None:
        super().__init__(database)
        self.due = DueRowReader(self._collection, self._patience)
        self._retention_days = retention_days
        self._contents = SharedContents(database)
        self._receipts = ReceiptRepository(database)

    async def ensure(self) -> None:
        await super().ensure()
        await self._receipts.ensure()

    def index_models(self) -> Sequence[IndexModel]:
        return indexes(self._retention_days)

    async def insert(self, row: PushNotificationModel) -> bool:
        """Store a new row, durable on a majority; False when its idempotency key is taken already."""
        document = row.to_document()
        return await self._patience.repeated(lambda: insert_once(self._collection, document))

    async def confirm(self, row_id: ObjectId) -> bool:
        """Whether the row is there, durable on a majority; UnavailableError where that cannot be told."""
        return await self._patience.repeated(lambda: confirm_majority(self._collection, row_id))

    async def find(self, row_id: ObjectId) -> PushNotificationModel | None:
        """The row of this id; raises UnreadableRecordError for one of another version."""
        document = await self._patience.repeated(lambda: self._collection.find_one({"_id": row_id}))
        if document is None:
            return None
        [document] = await self._contents.complete([document])
        return read_record(PushNotificationModel, document)

    async def find_by_key(self, account_id: str, idempotency_key: str) -> PushNotificationModel | None:
        wanted = {"account_id": account_id, "idempotency_key": idempotency_key}
        # Without the hint the planner may settle on `account_newest` and read all the account's rows.
        document = await self._patience.repeated(
            lambda: self._collection.find_one(wanted, hint="idempotency")
        )
        return None if document is None else read_record(PushNotificationModel, document)

    async def standings(self, row_ids: Sequence[ObjectId]) -> list[RowStanding]:
        """How the rows of these ids that exist stand, in no order; also those this version cannot read."""
        wanted = {"_id": {"$in": list(row_ids)}}
        documents = await self._patience.repeated(
            lambda: self._collection.find(wanted, FIELDS_OF_STANDING, hint=_BY_ID).to_list()
        )
        return [standing_of(document) for document in documents]

    async def newest(
        self, account_id: str, *, limit: int, before: datetime | None = None
    ) -> list[PushNotificationModel]:
        """The account's rows, newest first, created before `before`."""
        wanted: dict[str, Any] = {"account_id": account_id}
        if before is not None:
            wanted["created_at"] = {"$lt": before}
        documents = await self._patience.repeated(
            lambda: self._collection.find(wanted).sort("created_at", DESCENDING).limit(limit).to_list()
        )
        return _readable(await self._contents.complete(documents))

    async def apply(self, changes: Sequence[RowChange]) -> set[ObjectId]:
        """Write what became of claimed rows; returns the ids whose fence had not moved on.

        A refused row was claimed by another owner meanwhile: its state is theirs to write.
        """
        matched = 0
        for alike in by_shape(changes):
            matched += await self._write(alike)
        written = {change.id for change in changes}
        if matched < len(changes):
            written = await self._written(changes)
        return written

    async def _write(self, alike: Sequence[RowChange]) -> int:
        # The driver repeats an update of one row when its answer is lost, but not one of many.
        write = self._collection.update_one if len(alike) == 1 else self._collection.update_many
        condition, update = outcome_condition(alike), outcome_update(alike)
        result = await self._patience.repeated(lambda: write(condition, update, hint=_BY_ID))
        return result.matched_count

    async def _written(self, changes: Sequence[RowChange]) -> set[ObjectId]:
        wanted = {change.id: (change.fence, change.status) for change in changes}
        condition = {"_id": {"$in": list(wanted)}}
        documents = await self._patience.repeated(
            lambda: self._collection.find(condition, {"fence": 1, "status": 1}).to_list()
        )
        return {document["_id"] for document in documents if _is_written(document, *wanted[document["_id"]])}

    async def expire_overdue(self, *, now: datetime, limit: int) -> int:
        """End at most `limit` rows past `expires_at` that nobody is delivering; returns how many."""
        wanted = {"status": {"$in": list(_UNSETTLED)}, "expires_at": {"$lte": now}}
        condition = {**wanted, **claims.overdue_unsettled()}
        found = await self._patience.repeated(
            lambda: self._collection.find(condition, {"_id": 1}).limit(limit).to_list()
        )
        return await self.expire([document["_id"] for document in found], now=now) if found else 0

    async def expire(self, row_ids: Sequence[ObjectId], *, now: datetime) -> int:
        """End those of `row_ids` that are past `expires_at` and that nobody is delivering."""
        condition = {
            "_id": {"$in": list(row_ids)},
            "status": {"$in": list(_UNSETTLED)},
            "expires_at": {"$lte": now},
            **claims.overdue_unsettled(),
        }
        update = claims.expiry_update()
        result = await self._patience.repeated(
            lambda: self._collection.update_many(condition, update, hint=_BY_ID)
        )
        return result.modified_count

    async def cancel(self, row_id: ObjectId) -> bool:
        """Take a pending row out of delivery; False when it is not pending any more."""
        pending = {"_id": row_id, "status": Status.PENDING.value, "active": True}
        result = await self._patience.repeated(
            lambda: self._collection.update_one(pending, claims.cancellation())
        )
        return result.matched_count == 1

    async def record_receipt(self, row_id: ObjectId) -> bool:
        """Take a sent row to `delivered`, now or when its outcome is written; False for any other row."""
        return await self._recorded({"_id": row_id}, str(row_id), may_be_unknown=False)

    async def record_message_receipt(self, message_id: str) -> bool:
        """The same by the provider's name of a message; one that no row has yet is kept for its outcome."""
        return await self._recorded(_of_messages(message_id), message_id, may_be_unknown=True)

    async def _recorded(self, row: Document, receipt_id: str, *, may_be_unknown: bool) -> bool:
        if await self._mark_delivered(row):
            return True
        known = await self._patience.repeated(
            lambda: self._collection.find_one(row, {"status": 1, "active": 1}, hint=_hint_for(row))
        )
        waits = may_be_unknown if known is None else known["active"] and known["status"] in _UNSETTLED
        if waits:
            await self._receipts.keep(receipt_id)
        # The outcome may have been written in between.
        return await self._mark_delivered(row) or waits

    async def _mark_delivered(self, row: Document) -> bool:
        """Take a row to `delivered`; False when it is not `sent`, so status never goes back."""
        sent = {**row, "status": Status.SENT.value}
        result = await self._patience.repeated(
            lambda: self._collection.update_one(sent, claims.delivery(), hint=_hint_for(row))
        )
        return result.matched_count == 1

    async def has_receipts(self) -> bool:
        """Whether any receipt waits for its row's outcome."""
        return await self._receipts.has_any()

    async def apply_receipts(self, rows: Mapping[str, ObjectId]) -> None:
        """Take those of `rows`, by the ids that receipts name them by, to `delivered` that have a receipt."""
        received = await self._receipts.among(rows)
        for receipt_id in received:
            await self._mark_delivered({"_id": rows[receipt_id]})
        if received:
            await self._receipts.drop(received)

    async def apply_left_receipts(self) -> int:
        """Apply kept receipts whose rows have an outcome by now; returns how many.

        As many as it comes to within LONGEST_APPLY_SECONDS: ids that no row has may be any number.
        """
        applied, after, until = 0, "", steady_seconds() + LONGEST_APPLY_SECONDS
        while steady_seconds() < until and (page := await self._receipts.page(after=after)):
            rows = await self._receivers(page)
            await self.apply_receipts(rows)
            applied, after = applied + len(rows), page[-1]
        return applied

    async def _receivers(self, receipt_ids: Sequence[str]) -> dict[str, ObjectId]:
        """Those of these ids that rows with an outcome have, and the rows they name."""
        reached = {"status": {"$in": [Status.SENT.value, Status.DELIVERED.value]}}
        ids = [ObjectId(each) for each in receipt_ids if ObjectId.is_valid(each)]
        by_id = {"_id": {"$in": ids}, **reached}
        by_message = {**_of_messages({"$in": list(receipt_ids)}), **reached}
        named = await self._patience.repeated(
            lambda: self._collection.find(by_id, {"_id": 1}, hint=_BY_ID).to_list()
        )
        messages = await self._patience.repeated(
            lambda: self._collection.find(by_message, _MESSAGES, hint=MESSAGE_INDEX).to_list()
        )
        wanted = frozenset(receipt_ids)
        found = {str(row["_id"]): row["_id"] for row in named}
        return found | {
            message_id: row["_id"]
            for row in messages
            for message_id in row["provider_message_ids"]
            if message_id in wanted
        }


def _of_messages(condition: Any) -> Document:
    # The second says what the index holds; without it MongoDB would not use it.
    return {"provider_message_ids": condition, "provider_message_ids.0": {"$exists": True}}


def _is_written(row: Document, fence: int, status: Status) -> bool:
    # A receipt may have come in between.
    reached = {status.value, Status.DELIVERED.value} if status is Status.SENT else {status.value}
    return row["fence"] == fence and row["status"] in reached


def _hint_for(row: Document) -> Any:
    return _BY_ID if "_id" in row else MESSAGE_INDEX


def _readable(documents: Sequence[Document]) -> list[PushNotificationModel]:
    return readable_records(PushNotificationModel, documents, action="push.unreadable")

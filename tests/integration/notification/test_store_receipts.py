"""Receipts on the real MongoDB: early or late, by notification or by message, they count once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.collection import Collection

from modules.notification.internals.delivery.early_receipts import EarlyReceipts
from modules.notification.internals.push_notification_writer import PushNotificationWriter
from modules.notification.internals.store.push_notification_model import PushNotificationModel
from modules.notification.internals.store.receipt_repository import PAGE_RECEIPTS
from modules.notification.internals.store.rows.row_claim_repository import RowClaimRepository
from modules.notification.types import Status
from tests.support.push_rows import Document, claim_one, make_push, make_settled, stored

MESSAGE_ID = "projects/demo/messages/1"


async def record(writer: PushNotificationWriter, row: PushNotificationModel, by: str) -> bool:
    if by == "message":
        return await writer.record_message_receipt(MESSAGE_ID)
    return await writer.record_receipt(row.id)


async def settle(writer: PushNotificationWriter, row: PushNotificationModel) -> None:
    assert await writer.settle([make_settled(row)], now=datetime.now(UTC)) == {row.id}


async def settle_and_look(writer: PushNotificationWriter, row: PushNotificationModel) -> None:
    receipts = EarlyReceipts(writer)
    await settle(writer, row)
    receipts.expect([make_settled(row)])
    await receipts.close()


@pytest.mark.parametrize("by", ["notification", "message"])
class TestReceipts:
    async def test_one_that_comes_before_the_outcome_counts_when_that_is_written(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document], by: str
    ) -> None:
        row = await claim_one(claims, (await writer.create(make_push())).id)
        assert await record(writer, row, by)
        assert stored(rows, row.id)["status"] == "processing"
        await settle_and_look(writer, row)
        document = stored(rows, row.id)
        assert (document["status"], document["delivered_at"] is None) == ("delivered", False)
        assert rows.database["receipts"].count_documents({}) == 0

    async def test_one_that_comes_after_it_counts_at_once_and_once(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document], by: str
    ) -> None:
        row = await claim_one(claims, (await writer.create(make_push())).id)
        await settle(writer, row)
        assert await record(writer, row, by)
        before = stored(rows, row.id)
        assert before["status"] == "delivered"
        assert not await record(writer, row, by)
        assert stored(rows, row.id) == before

    async def test_either_order_of_both_at_once_ends_delivered(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document], by: str
    ) -> None:
        for _ in range(20):
            row = await claim_one(claims, (await writer.create(make_push())).id)
            await asyncio.gather(settle_and_look(writer, row), record(writer, row, by))
            assert stored(rows, row.id)["status"] == "delivered"
            rows.delete_one({"_id": row.id})

    async def test_one_that_a_lost_process_left_is_counted_once(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document], by: str
    ) -> None:
        row = await claim_one(claims, (await writer.create(make_push())).id)
        assert await record(writer, row, by)
        assert await writer.apply_left_receipts() == 0, "its outcome is not written yet"
        await settle(writer, row)
        assert stored(rows, row.id)["status"] == "sent"
        assert await writer.apply_left_receipts() == 1
        assert stored(rows, row.id)["status"] == "delivered"
        assert await writer.apply_left_receipts() == 0
        assert rows.database["receipts"].count_documents({}) == 0


async def test_only_a_row_that_was_sent_is_looked_at(
    writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
) -> None:
    row = await claim_one(claims, (await writer.create(make_push())).id)
    assert await writer.record_receipt(row.id)
    pending = make_settled(row, Status.PENDING)
    assert await writer.settle([pending], now=datetime.now(UTC)) == {row.id}
    await writer.apply_receipts([pending])
    assert stored(rows, row.id)["status"] == "pending"
    assert rows.database["receipts"].count_documents({}) == 1, "kept for the attempt that sends it"


async def test_what_was_left_is_found_behind_pages_of_what_no_row_has(
    writer: PushNotificationWriter,
    claims: RowClaimRepository,
    rows: Collection[Document],
) -> None:
    row = await claim_one(claims, (await writer.create(make_push())).id)
    await record(writer, row, "message")
    left, now = rows.database["receipts"], datetime.now(UTC)
    # Of ids before and behind the row's own.
    left.insert_many(
        {"_id": f"{place}{number}", "at": now} for place in "!~" for number in range(PAGE_RECEIPTS + 1)
    )
    await settle(writer, row)
    assert await writer.apply_left_receipts() == 1
    assert stored(rows, row.id)["status"] == "delivered"
    assert left.count_documents({}) == 2 * (PAGE_RECEIPTS + 1)


async def test_a_message_is_found_without_a_scan(
    writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
) -> None:
    for number in range(50):
        row = await claim_one(claims, (await writer.create(make_push())).id)
        settled = make_settled(row)
        await writer.settle([settled], now=datetime.now(UTC))
        rows.update_one({"_id": row.id}, {"$set": {"provider_message_ids": [f"message-{number}"]}})
    commands: list[dict[str, Any]] = []
    rows.database.command("profile", 2)
    assert await writer.record_message_receipt("message-7")
    rows.database.command("profile", 0)
    commands = list(rows.database["system.profile"].find({"op": "update"}))
    assert [each["docsExamined"] for each in commands] == [1]


async def test_a_row_that_never_was_sent_gets_none(
    writer: PushNotificationWriter, rows: Collection[Document]
) -> None:
    row = await writer.create(make_push())
    assert await writer.cancel(row.id)
    assert not await writer.record_receipt(row.id)
    assert rows.database["receipts"].count_documents({}) == 0

"""How rows end on the real MongoDB: expired, cancelled, delivered."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from pymongo.collection import Collection

from modules.notification.internals.push_notification_writer import PushNotificationWriter
from modules.notification.internals.store.rows.row_claim_repository import RowClaimRepository
from modules.notification.types import Outcome, Status
from tests.support.push_rows import (
    LEASE_SECONDS,
    PAST,
    Document,
    claim_one,
    final_document,
    let_expire,
    let_lease_run_out,
    make_document,
    make_push,
    make_settled,
    stored,
)


class TestExpire:
    async def test_a_pending_row_expires(
        self, writer: PushNotificationWriter, rows: Collection[Document]
    ) -> None:
        row = await writer.create(make_push())
        let_expire(rows, row.id)
        assert await writer.expire_overdue(limit=10) == 1
        document = stored(rows, row.id)
        assert (document["status"], document["error_type"], document["next_retry_at"]) == (
            "expired",
            "expired",
            None,
        )
        assert "due_at" not in document

    async def test_a_row_whose_lease_ran_out_expires(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        row = await claim_one(claims, (await writer.create(make_push())).id)
        let_expire(rows, row.id)
        let_lease_run_out(rows, row.id)
        assert await writer.expire_overdue(limit=10) == 1
        assert stored(rows, row.id)["status"] == "expired"
        assert await writer.settle([make_settled(row)], now=datetime.now(UTC)) == set()

    async def test_what_expires_after_its_worker_was_lost_says_that_it_may_have_been_accepted(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        row = await claim_one(claims, (await writer.create(make_push())).id)
        untouched = await writer.create(make_push())
        for each in (row, untouched):
            let_expire(rows, each.id)
        let_lease_run_out(rows, row.id)
        assert await writer.expire_overdue(limit=10) == 2
        document, other = stored(rows, row.id), stored(rows, untouched.id)
        assert (document["lost_claims"], other["lost_claims"]) == (1, 0)
        assert [event["event"] for event in document["events"]][-2:] == ["claim_lost", "expired"]
        assert [event["event"] for event in other["events"]][-1:] == ["expired"]
        assert "may have been accepted" in document["error_message"]
        assert "may have been accepted" not in other["error_message"]

    async def test_a_row_under_way_is_left_to_its_owner(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        row = await claim_one(claims, (await writer.create(make_push())).id)
        let_expire(rows, row.id)
        before = stored(rows, row.id)
        assert await writer.expire_overdue(limit=10) == 0
        assert stored(rows, row.id) == before

    async def test_a_row_that_one_device_accepted_becomes_sent(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        row = await claim_one(claims, (await writer.create(make_push())).id)
        settled = make_settled(row)
        devices = (*settled.settlement.devices, *make_settled(row, Status.PENDING).settlement.devices)
        await writer.settle([make_settled(row, Status.PENDING, devices=devices)], now=datetime.now(UTC))
        let_expire(rows, row.id)
        assert await writer.expire_overdue(limit=10) == 1
        document = stored(rows, row.id)
        assert document["status"] == "sent"
        assert document["sent_at"] is not None
        assert {each["outcome"] for each in document["devices"]} == {Outcome.ACCEPTED, Outcome.TRANSIENT}

    async def test_what_expires_later_or_never_stays(
        self, writer: PushNotificationWriter, rows: Collection[Document]
    ) -> None:
        await writer.create(make_push())
        await writer.create(make_push(expires_at=datetime.now(UTC) + timedelta(hours=1)))
        assert await writer.expire_overdue(limit=10) == 0

    async def test_not_more_than_the_limit_at_once(
        self, writer: PushNotificationWriter, rows: Collection[Document]
    ) -> None:
        overdue = datetime.now(UTC) - PAST
        rows.insert_many([make_document(expires_at=overdue) for _ in range(25)])
        assert [await writer.expire_overdue(limit=10) for _ in range(4)] == [10, 10, 5, 0]


class TestCancelAndDeliver:
    async def test_a_pending_row_is_cancelled_for_good(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        row = await writer.create(make_push())
        assert await writer.cancel(row.id)
        assert not await writer.cancel(row.id)
        assert await claims.claim([row.id], owner="me", lease_seconds=LEASE_SECONDS) == []
        document = stored(rows, row.id)
        assert (document["status"], document["active"]) == ("pending", False)

    async def test_a_row_under_way_or_done_is_not_cancelled(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        row = await claim_one(claims, (await writer.create(make_push())).id)
        assert not await writer.cancel(row.id)
        await writer.settle([make_settled(row)], now=datetime.now(UTC))
        assert not await writer.cancel(row.id)
        assert stored(rows, row.id)["active"] is True

    async def test_either_the_cancel_or_the_claim_wins(
        self, writer: PushNotificationWriter, claims: RowClaimRepository
    ) -> None:
        for _ in range(20):
            row = await writer.create(make_push())
            cancelled, claimed = await asyncio.gather(
                writer.cancel(row.id), claims.claim([row.id], owner="me", lease_seconds=LEASE_SECONDS)
            )
            assert cancelled != bool(claimed)

    async def test_a_receipt_counts_once_and_never_goes_back(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        row = await claim_one(claims, (await writer.create(make_push())).id)
        await writer.settle([make_settled(row)], now=datetime.now(UTC))
        assert await writer.record_receipt(row.id)
        before = stored(rows, row.id)
        assert before["status"] == "delivered"
        assert before["delivered_at"] is not None
        assert not await writer.record_receipt(row.id)
        assert await writer.settle([make_settled(row)], now=datetime.now(UTC)) == {row.id}, "written before"
        assert stored(rows, row.id) == before

    @pytest.mark.parametrize("status", ["failed", "expired"])
    async def test_a_row_that_was_not_sent_cannot_be_delivered(
        self, writer: PushNotificationWriter, rows: Collection[Document], status: str
    ) -> None:
        document = final_document(status)
        rows.insert_one(document)
        assert not await writer.record_receipt(document["_id"])
        assert stored(rows, document["_id"])["status"] == status

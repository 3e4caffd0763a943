"""Rows that are let go on the real MongoDB: pending again, nothing lost, nothing of theirs changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.collection import Collection

from modules.application.errors import UnreadableRecordError
from modules.notification.internals.push_notification_reader import PushNotificationReader
from modules.notification.internals.push_notification_writer import PushNotificationWriter
from modules.notification.internals.store.rows.row_claim_repository import RowClaimRepository
from modules.notification.types import OutcomePolicy, Status
from tests.support.push_rows import (
    LEASE_SECONDS,
    Document,
    claim_one,
    let_lease_run_out,
    make_document,
    make_push,
    make_settled,
    stored,
)

REASON = "MongoDB was away"
# What a claim and what comes after it change; everything else of a row is its own.
OF_CLAIMS = {"fence", "next_retry_at", "due_at", "last_transition", "updated_at", "events"}


def without_claims(document: Document) -> Document:
    return {name: value for name, value in document.items() if name not in OF_CLAIMS}


class TestLetGo:
    async def test_a_row_is_pending_again_and_due_when_it_was_said(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        row = await claim_one(claims, (await writer.create(make_push())).id)
        assert await claims.let_go([row], seconds=60, reason=REASON) == 1
        document = stored(rows, row.id)
        assert (document["status"], document["fence"], document["lost_claims"]) == ("pending", 1, 0)
        assert "claim" not in document
        assert document["due_at"] == document["next_retry_at"]
        assert timedelta(seconds=50) < document["due_at"] - datetime.now(UTC) < timedelta(seconds=70)
        assert document["events"][-1]["event"] == "let_go"
        assert REASON in document["events"][-1]["detail"]
        assert await claims.claim([row.id], owner="me", lease_seconds=LEASE_SECONDS) == []

    async def test_no_claim_and_no_retry_is_spent_however_often_a_row_is_let_go(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        row_id = (await writer.create(make_push())).id
        for fence in range(1, 8):
            row = await claim_one(claims, row_id)
            assert (row.fence, row.lost_claims, row.retry_count) == (fence, 0, 0)
            await claims.let_go([row], seconds=0, reason=REASON)

    async def test_many_rows_are_let_go_together(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        ids = [(await writer.create(make_push())).id for _ in range(3)]
        claimed = [
            *(await claims.claim(ids[:2], owner="me", lease_seconds=LEASE_SECONDS)),
            await claim_one(claims, ids[2]),
        ]
        assert await claims.let_go(claimed, seconds=60, reason=REASON) == 3
        assert {each["status"] for each in rows.find()} == {"pending"}

    async def test_a_row_that_is_not_held_any_more_is_left_to_who_has_it(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        mine = await claim_one(claims, (await writer.create(make_push())).id)
        let_lease_run_out(rows, mine.id)
        theirs = await claim_one(claims, mine.id, owner="they")
        before = stored(rows, mine.id)
        assert await claims.let_go([mine], seconds=0, reason=REASON) == 0
        assert stored(rows, mine.id) == before
        await writer.settle([make_settled(theirs)], now=datetime.now(UTC))
        assert await claims.let_go([theirs], seconds=0, reason=REASON) == 0
        assert stored(rows, mine.id)["status"] == "sent"

    async def test_a_campaigns_row_stays_with_its_campaign(
        self, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        document = make_document(campaign={"id": ObjectId(), "page": 0}, due_at=...)
        rows.insert_one(document)
        row = await claim_one(claims, document["_id"])
        await claims.let_go([row], seconds=60, reason=REASON)
        assert "due_at" not in stored(rows, row.id)
        assert stored(rows, row.id)["next_retry_at"] > datetime.now(UTC)

    async def test_what_a_lost_claim_had_dispatched_is_not_forgotten(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        """`at_most_once`: the worker was lost while sending, the next one lets go; the third must know."""
        push = make_push(outcome_policy=OutcomePolicy.AT_MOST_ONCE)
        lost = await claim_one(claims, (await writer.create(push)).id)
        await claims.mark_dispatched(lost, ["device-1"])
        let_lease_run_out(rows, lost.id)
        for _ in range(3):
            row = await claim_one(claims, lost.id)
            assert row.claim is not None
            assert row.claim.dispatched == ["device-1"]
            assert "dispatched" not in stored(rows, lost.id)
            await claims.let_go([row], seconds=0, reason=REASON)
            assert stored(rows, lost.id)["dispatched"] == ["device-1"]


OF_ANOTHER_VERSION: list[dict[str, Any]] = [
    {"quiet_until": datetime(2026, 1, 1, tzinfo=UTC)},
    {"options": {"android": {"live_updates": True}}},
    {"options": {"wear": {}}},
    {"devices": [{"device_id": "1", "shown": True}]},
]


class TestAnotherVersions:
    """A newer release adds to a row; this one, beside it, must neither fail it nor send half of it."""

    @pytest.mark.parametrize("added", OF_ANOTHER_VERSION)
    async def test_a_row_that_this_version_cannot_read_is_let_go_untouched(
        self, claims: RowClaimRepository, rows: Collection[Document], added: dict[str, Any]
    ) -> None:
        document = make_document(**added)
        rows.insert_one(document)
        before = stored(rows, document["_id"])
        assert await claims.claim([document["_id"]], owner="old", lease_seconds=LEASE_SECONDS) == []
        after = stored(rows, document["_id"])
        assert without_claims(after) == without_claims(before)
        assert after["due_at"] > datetime.now(UTC)
        assert "cannot read" in after["events"][-1]["detail"]

    @pytest.mark.parametrize("added", OF_ANOTHER_VERSION)
    async def test_the_rows_beside_it_are_claimed(
        self, claims: RowClaimRepository, rows: Collection[Document], added: dict[str, Any]
    ) -> None:
        documents = [make_document(), make_document(**added), make_document()]
        rows.insert_many(documents)
        ids = [document["_id"] for document in documents]
        claimed = await claims.claim(ids, owner="old", lease_seconds=LEASE_SECONDS)
        assert {row.id for row in claimed} == {ids[0], ids[2]}
        assert stored(rows, ids[1])["status"] == "pending"

    async def test_asked_for_it_is_an_error_and_not_absent(
        self, reader: PushNotificationReader, rows: Collection[Document]
    ) -> None:
        document = make_document(quiet_until=datetime.now(UTC))
        rows.insert_one(document)
        with pytest.raises(UnreadableRecordError) as told:
            await reader.get(str(document["_id"]))
        assert told.value.fields == ("quiet_until",)

    async def test_it_is_claimed_as_soon_as_somebody_can_read_it(
        self, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        document = make_document(quiet_until=datetime.now(UTC))
        rows.insert_one(document)
        await claims.claim([document["_id"]], owner="old", lease_seconds=LEASE_SECONDS)
        now = datetime.now(UTC) - timedelta(seconds=1)
        rows.update_one(
            {"_id": document["_id"]},
            {"$unset": {"quiet_until": ""}, "$set": {"due_at": now, "next_retry_at": now}},
        )
        row = await claim_one(claims, document["_id"], owner="new")
        assert (row.status, row.fence, row.lost_claims) == (Status.PROCESSING, 2, 0)


class TestStandings:
    async def test_also_a_row_of_another_version_says_how_it_stands(
        self, claims: RowClaimRepository, reader: PushNotificationReader, rows: Collection[Document]
    ) -> None:
        document = make_document(quiet_until=datetime.now(UTC))
        rows.insert_one(document)
        await claims.claim([document["_id"]], owner="old", lease_seconds=LEASE_SECONDS)
        (standing,) = await reader.standings([document["_id"]])
        assert (standing.status, standing.active, standing.was_let_go) == (Status.PENDING, True, True)
        assert standing.due_at is not None
        assert standing.due_at > datetime.now(UTC)


class TestSuspects:
    """A row that kills whoever reads it takes down those claimed beside it; it must not end them."""

    async def lose(
        self,
        writer: PushNotificationWriter,
        claims: RowClaimRepository,
        rows: Collection[Document],
        ids: list[ObjectId],
    ) -> None:
        """Deliver as RowDelivery does, in a process that dies of the first of `ids`."""
        killer = ids[0]
        for group in (ids, *(await claims.suspects(ids))):
            claimed = await claims.claim(group, owner="me", lease_seconds=LEASE_SECONDS)
            if killer in {row.id for row in claimed}:
                break
            await writer.settle([make_settled(row) for row in claimed], now=datetime.now(UTC))
        for row in rows.find({"status": "processing"}, {"_id": 1}):
            let_lease_run_out(rows, row["_id"])
        await claims.end_lost(ids)

    async def test_the_one_that_kills_ends_alone(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        ids = [make_document()["_id"] for _ in range(60)]
        rows.insert_many([make_document(_id=row_id) for row_id in ids])
        for _ in range(8):
            await self.lose(writer, claims, rows, ids)
        ended = {row["_id"]: row["status"] for row in rows.find()}
        assert ended.pop(ids[0]) == "failed"
        assert set(ended.values()) == {"sent"}
        assert stored(rows, ids[0])["lost_claims"] == 5

    async def test_rows_are_claimed_beside_the_fewer_the_more_often_they_were_lost(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        past = datetime.now(UTC) - timedelta(minutes=5)
        fresh = await writer.create(make_push())
        claim = (await claim_one(claims, fresh.id)).model_dump()["claim"]
        claim["lease_expires_at"] = past
        lost = [
            make_document(
                status="processing",
                last_transition={"source": "pending", "target": "processing"},
                claim=claim,
                lost_claims=times,
            )
            for times in [0] * 30 + [1] * 30 + [2, 3]
        ]
        rows.insert_many(lost)
        ids = [document["_id"] for document in lost]
        claimed = await claims.claim(ids, owner="me", lease_seconds=LEASE_SECONDS)
        assert {row.id for row in claimed} == set(ids[:30])
        groups = await claims.suspects(ids)
        assert sorted(len(group) for group in groups) == [1, 1, 10, 20]
        again = [await claims.claim(group, owner="me", lease_seconds=LEASE_SECONDS) for group in groups]
        assert [len(group) for group in again] == [len(group) for group in groups]

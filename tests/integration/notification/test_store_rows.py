"""Rows on the real MongoDB: created once, claimed by one, written by whoever holds the fence."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.collection import Collection

from modules.notification.errors import IdempotencyKeyConflictError, PushNotificationNotFoundError
from modules.notification.internals.push_notification_reader import PushNotificationReader
from modules.notification.internals.push_notification_writer import PushNotificationWriter
from modules.notification.internals.store.rows.row_claim_repository import RowClaimRepository
from modules.notification.types import Priority, Status
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


class TestCreate:
    async def test_a_new_row_has_the_documents_defaults(self, writer: PushNotificationWriter) -> None:
        row = await writer.create(make_push())
        assert (row.status, row.priority, row.active) == (Status.PENDING, Priority.NORMAL, True)
        assert (row.max_retries, row.retry_count, row.provider) == (4, 0, "fcm")
        assert (row.next_retry_at, row.expires_at, row.error_type, row.sent_at) == (None, None, None, None)

    async def test_a_row_comes_back_as_it_was_written(
        self, writer: PushNotificationWriter, reader: PushNotificationReader
    ) -> None:
        data = {"a.b": "dots", "$where": "dollar", "": "empty", "ключ": "é🎉", "$ref.x": "1"}
        expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
        written = await writer.create(make_push(data=data, expires_at=expires_at, correlation_id="corr"))
        read = await reader.get(str(written.id))
        assert (read.data, read.expires_at, read.correlation_id) == (data, expires_at, "corr")
        assert read.to_params() == make_push(data=data).params

    async def test_odd_data_keys_survive_a_claim_and_a_settlement(
        self,
        writer: PushNotificationWriter,
        claims: RowClaimRepository,
        reader: PushNotificationReader,
        rows: Collection[Document],
    ) -> None:
        data = {"a.b": "dots", "$where": "dollar", "$set": "status"}
        row = await claim_one(claims, (await writer.create(make_push(data=data))).id)
        assert await writer.settle([make_settled(row)], now=datetime.now(UTC)) == {row.id}
        assert (await reader.get(str(row.id))).data == data

    async def test_a_hundred_parallel_calls_with_one_key_make_one_row(
        self, writer: PushNotificationWriter, rows: Collection[Document]
    ) -> None:
        created = await asyncio.gather(
            *(writer.create(make_push(idempotency_key="key", data={"n": "1"})) for _ in range(100))
        )
        assert len({row.id for row in created}) == 1
        assert rows.count_documents({}) == 1

    @pytest.mark.parametrize(
        "other",
        [
            {"title": "Another"},
            {"data": {"n": "2"}},
            {"priority": Priority.IMMEDIATE},
        ],
    )
    async def test_a_key_with_other_content_is_refused_and_writes_nothing(
        self, writer: PushNotificationWriter, rows: Collection[Document], other: dict[str, Any]
    ) -> None:
        await writer.create(make_push(idempotency_key="key"))
        with pytest.raises(IdempotencyKeyConflictError):
            await writer.create(make_push(idempotency_key="key", **other))
        assert rows.count_documents({}) == 1

    async def test_a_deadline_reckoned_anew_is_the_same_content(self, writer: PushNotificationWriter) -> None:
        moment = datetime(2100, 1, 1, 12, tzinfo=UTC)
        first = await writer.create(make_push(idempotency_key="key", expires_at=moment))
        second = await writer.create(
            make_push(idempotency_key="key", expires_at=moment + timedelta(seconds=1))
        )
        assert (second.id, second.expires_at) == (first.id, moment)

    async def test_accounts_do_not_share_keys(
        self, writer: PushNotificationWriter, rows: Collection[Document]
    ) -> None:
        for account_id in ("one", "two"):
            await writer.create(make_push(account_id=account_id, idempotency_key="key"))
        assert rows.count_documents({}) == 2


class TestClaim:
    @pytest.mark.parametrize("lost", [False, True], ids=["pending", "lease ran out"])
    async def test_of_many_claimers_exactly_one_wins(
        self,
        writer: PushNotificationWriter,
        claims: RowClaimRepository,
        rows: Collection[Document],
        lost: bool,
    ) -> None:
        row = await writer.create(make_push())
        if lost:
            await claim_one(claims, row.id, "lost")
            let_lease_run_out(rows, row.id)
        claimed = await asyncio.gather(
            *(claims.claim([row.id], owner=f"owner-{n}", lease_seconds=LEASE_SECONDS) for n in range(50))
        )
        (won,) = [claim[0] for claim in claimed if claim]
        assert won.claim is not None
        assert (won.fence, won.claim.recovered, won.lost_claims) == ((2, True, 1) if lost else (1, False, 0))
        assert stored(rows, row.id)["claim"]["owner"] == won.claim.owner

    async def test_every_row_of_overlapping_pages_is_claimed_once(
        self, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        documents = [make_document() for _ in range(200)]
        rows.insert_many(documents)
        row_ids = [each["_id"] for each in documents]
        pages = await asyncio.gather(
            *(claims.claim(row_ids, owner=f"owner-{n}", lease_seconds=LEASE_SECONDS) for n in range(10))
        )
        claimed = [row.id for page in pages for row in page]
        assert sorted(claimed) == sorted(row_ids)

    async def test_a_live_lease_is_respected(
        self, writer: PushNotificationWriter, claims: RowClaimRepository
    ) -> None:
        row = await writer.create(make_push())
        await claim_one(claims, row.id)
        assert await claims.claim([row.id], owner="other", lease_seconds=LEASE_SECONDS) == []

    async def test_a_row_that_waits_is_not_claimed_before_its_time(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        row = await claim_one(claims, (await writer.create(make_push())).id)
        await writer.settle([make_settled(row, Status.PENDING)], now=datetime.now(UTC))
        assert await claims.claim([row.id], owner="me", lease_seconds=LEASE_SECONDS) == []
        rows.update_one({"_id": row.id}, {"$set": {"next_retry_at": datetime.now(UTC) - PAST}})
        assert (await claim_one(claims, row.id)).fence == 2

    async def test_an_expired_row_is_never_claimed(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        fresh = await writer.create(make_push())
        held = await claim_one(claims, (await writer.create(make_push())).id)
        for row_id in (fresh.id, held.id):
            let_expire(rows, row_id)
        let_lease_run_out(rows, held.id)
        ids = [fresh.id, held.id]
        assert await claims.claim(ids, owner="me", lease_seconds=LEASE_SECONDS) == []

    @pytest.mark.parametrize("status", ["sent", "failed", "expired"])
    async def test_a_finished_row_is_never_claimed(
        self, claims: RowClaimRepository, rows: Collection[Document], status: str
    ) -> None:
        document = final_document(status)
        rows.insert_one(document)
        assert await claims.claim([document["_id"]], owner="me", lease_seconds=LEASE_SECONDS) == []

    async def test_an_owner_may_be_called_anything(
        self, writer: PushNotificationWriter, claims: RowClaimRepository
    ) -> None:
        row = await claim_one(claims, (await writer.create(make_push())).id, "$fence")
        assert row.claim is not None
        assert row.claim.owner == "$fence"

    async def test_a_renewed_lease_lasts_longer_and_keeps_others_away(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        row = await claim_one(claims, (await writer.create(make_push())).id)
        assert row.claim is not None
        let_lease_run_out(rows, row.id)
        assert await claims.renew([row.id], claim_id=row.claim.id, lease_seconds=LEASE_SECONDS) == 1
        assert await claims.claim([row.id], owner="other", lease_seconds=LEASE_SECONDS) == []
        document = stored(rows, row.id)
        assert document["due_at"] == document["claim"]["lease_expires_at"] > datetime.now(UTC)

    async def test_a_lease_that_another_took_cannot_be_renewed(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        row = await claim_one(claims, (await writer.create(make_push())).id)
        assert row.claim is not None
        let_lease_run_out(rows, row.id)
        await claim_one(claims, row.id, "other")
        before = stored(rows, row.id)
        assert await claims.renew([row.id], claim_id=row.claim.id, lease_seconds=LEASE_SECONDS) == 0
        assert stored(rows, row.id) == before


class TestFence:
    @pytest.mark.parametrize("how_many", [1, 3], ids=["one row", "a page"])
    async def test_a_stale_owner_changes_nothing(
        self,
        writer: PushNotificationWriter,
        claims: RowClaimRepository,
        rows: Collection[Document],
        how_many: int,
    ) -> None:
        ids = [(await writer.create(make_push())).id for _ in range(how_many)]
        stale = [await claim_one(claims, row_id) for row_id in ids]
        let_lease_run_out(rows, ids[0])
        await claim_one(claims, ids[0], "other")
        before = stored(rows, ids[0])
        written = await writer.settle([make_settled(row) for row in stale], now=datetime.now(UTC))
        assert written == set(ids[1:])
        assert stored(rows, ids[0]) == before
        assert not await claims.mark_dispatched(stale[0], ["device-1"])

    async def test_a_stale_owner_is_refused_after_the_other_has_finished(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        """Both came to the same end: only the holder of the fence may say it wrote."""
        ids = [(await writer.create(make_push())).id for _ in range(2)]
        stale = [await claim_one(claims, row_id) for row_id in ids]
        let_lease_run_out(rows, ids[0])
        fresh = await claim_one(claims, ids[0], "other")
        await writer.settle([make_settled(fresh)], now=datetime.now(UTC))
        before = stored(rows, ids[0])
        assert await writer.settle([make_settled(row) for row in stale], now=datetime.now(UTC)) == {ids[1]}
        assert stored(rows, ids[0]) == before

    async def test_writing_the_same_outcome_twice_writes_it_once(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        row = await claim_one(claims, (await writer.create(make_push())).id)
        await writer.settle([make_settled(row)], now=datetime.now(UTC))
        before = stored(rows, row.id)
        await writer.settle([make_settled(row)], now=datetime.now(UTC))
        assert stored(rows, row.id) == before


class TestSettle:
    async def test_a_sent_row_is_done(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        row = await claim_one(claims, (await writer.create(make_push())).id)
        await writer.settle([make_settled(row)], now=datetime.now(UTC))
        document = stored(rows, row.id)
        assert document["status"] == "sent"
        assert document["sent_at"] is not None
        assert document["provider_message_ids"] == ["projects/demo/messages/1"]
        assert "due_at" not in document
        assert "claim" not in document

    async def test_a_row_to_retry_is_due_again_at_its_next_retry(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        row = await claim_one(claims, (await writer.create(make_push())).id)
        await writer.settle([make_settled(row, Status.PENDING)], now=datetime.now(UTC))
        document = stored(rows, row.id)
        assert document["due_at"] == document["next_retry_at"] > datetime.now(UTC)
        assert [event["event"] for event in document["events"]] == [
            "accepted",
            "claimed",
            "attempted",
            "retry_planned",
        ]

    async def test_a_long_story_keeps_its_newest_part(
        self, writer: PushNotificationWriter, claims: RowClaimRepository, rows: Collection[Document]
    ) -> None:
        row_id = (await writer.create(make_push())).id
        old = [{"at": datetime.now(UTC), "event": "old", "detail": str(n)} for n in range(150)]
        rows.update_one({"_id": row_id}, {"$set": {"events": old}})
        row = await claim_one(claims, row_id)
        await writer.settle([make_settled(row)], now=datetime.now(UTC))
        events = stored(rows, row_id)["events"]
        assert len(events) == 100
        assert [event["event"] for event in events[-2:]] == ["claimed", "attempted"]


class TestRead:
    @pytest.mark.parametrize("notification_id", ["", "no-id", "0" * 24, "x" * 24, "0" * 23])
    async def test_an_unknown_or_malformed_id_is_not_found(
        self, reader: PushNotificationReader, notification_id: str
    ) -> None:
        with pytest.raises(PushNotificationNotFoundError) as error:
            await reader.get(notification_id)
        assert error.value.code == "push_notification_not_found"

    @pytest.mark.parametrize("not_text", [None, 7, b"twelve bytes", b"x" * 24])
    async def test_what_is_no_text_is_not_found(self, reader: PushNotificationReader, not_text: Any) -> None:
        with pytest.raises(PushNotificationNotFoundError):
            await reader.get(not_text)

    async def test_the_newest_come_first_and_paging_goes_back_in_time(
        self, reader: PushNotificationReader, rows: Collection[Document]
    ) -> None:
        start = datetime(2026, 1, 1, tzinfo=UTC)
        documents = [
            make_document(account_id="mine", created_at=start + timedelta(seconds=n)) for n in range(7)
        ]
        rows.insert_many([*documents, make_document(account_id="other")])
        first = await reader.newest("mine", limit=4)
        second = await reader.newest("mine", limit=4, before=first[-1].created_at)
        assert [row.id for row in (*first, *second)] == [row["_id"] for row in reversed(documents)]

    async def test_a_scan_visits_each_due_row_once_even_when_all_are_due_at_one_moment(
        self, reader: PushNotificationReader, rows: Collection[Document]
    ) -> None:
        moment = datetime.now(UTC).replace(microsecond=0) - PAST
        documents = [make_document(due_at=moment) for _ in range(103)]
        rows.insert_many([*documents, make_document(due_at=datetime.now(UTC) + timedelta(hours=1))])
        seen: list[str] = []
        after = None
        while page := (await reader.due_page(after=after, until=None, limit=10)).rows:
            seen += [row.notification_id for row in page]
            after = (page[-1].due_at, page[-1].notification_id)
        assert seen == sorted(str(document["_id"]) for document in documents)

    async def test_a_scan_tells_a_lost_row_from_a_new_one(
        self,
        writer: PushNotificationWriter,
        claims: RowClaimRepository,
        reader: PushNotificationReader,
        rows: Collection[Document],
    ) -> None:
        new = await writer.create(make_push())
        lost = await claim_one(claims, (await writer.create(make_push())).id)
        held = await claim_one(claims, (await writer.create(make_push())).id)
        let_lease_run_out(rows, lost.id)
        page = (await reader.due_page(after=None, until=None, limit=10)).rows
        assert {row.notification_id: row.reclaimed for row in page} == {
            str(new.id): False,
            str(lost.id): True,
        }
        assert str(held.id) not in {row.notification_id for row in page}

    async def test_due_rows_are_counted_up_to_the_limit(
        self, reader: PushNotificationReader, rows: Collection[Document]
    ) -> None:
        assert await reader.due_count(limit=5) == 0
        later = make_document(due_at=datetime.now(UTC) + timedelta(hours=1))
        rows.insert_many([*(make_document(due_at=datetime.now(UTC) - PAST) for _ in range(7)), later])
        assert [await reader.due_count(limit=limit) for limit in (5, 7, 100)] == [5, 7, 7]

    async def test_a_scan_sees_nothing_that_became_due_after_it_began(
        self, reader: PushNotificationReader, rows: Collection[Document]
    ) -> None:
        before, after = (make_document(due_at=datetime.now(UTC) - PAST * n) for n in (2, 1))
        rows.insert_many([before, after])
        until = datetime.now(UTC) - PAST * 1.5
        page = await reader.due_page(after=None, until=until, limit=10)
        assert [row.notification_id for row in page.rows] == [str(before["_id"])]
        assert page.until == until

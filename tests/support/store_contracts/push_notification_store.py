"""What holds of stored push notifications over any database: inserted once, read back whole, and counted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from modules.application.errors import UnreadableRecordError
from modules.application.mongo_database import DatabaseClock
from modules.notification.errors import PushNotificationNotFoundError
from modules.notification.internals.push_notification_reader import PushNotificationReader
from modules.notification.internals.store.push_notification_model import (
    BroadcastModel,
    ClaimModel,
    DeviceRecordModel,
    EventModel,
    PlatformOptionsModel,
    PushNotificationModel,
    TransitionModel,
)
from modules.notification.internals.store.push_notification_repository import PushNotificationRepository
from modules.notification.internals.store.rows.bulk_rows import new_bulk_row
from modules.notification.internals.store.rows.row_claims import LET_GO
from modules.notification.internals.store.rows.row_standing import RowStanding
from modules.notification.internals.store.rows.shared_contents import content_of
from modules.notification.types import BroadcastKind, Outcome, OutcomePolicy, Priority, Status
from tests.support.process_logs import capture_logs
from tests.support.store_contracts.databases import RECENTLY, Database, Prepare, put, put_unchecked

MINUTE = timedelta(minutes=1)


def make_row(**over: Any) -> PushNotificationModel:
    """A pending row that is due."""
    fields: dict[str, Any] = {
        "id": ObjectId(),
        "last_transition": TransitionModel(source=None, target=Status.PENDING),
        "due_at": RECENTLY,
        "account_id": "ana",
        "created_at": RECENTLY,
        "updated_at": RECENTLY,
        "title": "Appointment",
        "body": "Tomorrow at ten",
        "content_fingerprint": "0",
        **over,
    }
    return PushNotificationModel(**fields)


def make_device(outcome: Outcome, device_id: str = "device-1") -> DeviceRecordModel:
    return DeviceRecordModel(
        device_id=device_id,
        app_id="default",
        outcome=outcome,
        code=outcome.name,
        reason=f"was {outcome}",
        attempts=2,
        retries=1,
        unknown_attempts=1,
        message_id="projects/demo/messages/1",
        last_attempt_at=RECENTLY,
        not_before=RECENTLY + MINUTE,
        unreached_since=RECENTLY - MINUTE,
    )


def claimed_row(**over: Any) -> PushNotificationModel:
    """A row under way in which every field says something."""
    claim = ClaimModel(
        id="claim-1",
        owner="worker-1",
        claimed_at=RECENTLY,
        lease_expires_at=RECENTLY + MINUTE,
        recovered=True,
        dispatched=["device-1"],
    )
    fields: dict[str, Any] = {
        "status": Status.PROCESSING,
        "fence": 3,
        "last_transition": TransitionModel(source=Status.PENDING, target=Status.PROCESSING),
        "due_at": claim.lease_expires_at,
        "retry_count": 1,
        "max_retries": 2,
        "next_retry_at": RECENTLY - MINUTE,
        "expires_at": RECENTLY + timedelta(hours=1),
        "priority": Priority.IMMEDIATE,
        "data": {"order": "7"},
        "category": "orders",
        "outcome_policy": OutcomePolicy.AT_MOST_ONCE,
        "image_url": "https://example.org/i.png",
        "click_action": "/orders/7",
        "app_id": "shop",
        "options": PlatformOptionsModel(android={"channel_id": "orders"}, analytics_label="orders"),
        "idempotency_key": "order-7",
        "correlation_id": "request-7",
        "claim": claim,
        "dispatched": ["device-2"],
        "lost_claims": 2,
        "devices": [make_device(Outcome.TRANSIENT)],
        "provider_message_ids": ["projects/demo/messages/1"],
        "device_tokens_used": ["a-token"],
        "invalid_tokens": ["another-token"],
        "error_type": "UNAVAILABLE",
        "error_message": "try again",
        "events": [EventModel(at=RECENTLY, event="claimed", detail="claim 3")],
        **over,
    }
    return make_row(**fields)


def settled_row(status: Status = Status.SENT, **over: Any) -> PushNotificationModel:
    fields = {
        "status": status,
        "last_transition": TransitionModel(source=Status.PROCESSING, target=status),
        "due_at": None,
        "finished_at": RECENTLY,
        **over,
    }
    return make_row(**fields)


class PushNotificationStoreContract:
    @pytest.fixture
    async def rows(self, database: Database, prepare: Prepare) -> PushNotificationRepository:
        rows = PushNotificationRepository(database, retention_days=90)
        await prepare(rows)
        return rows

    @pytest.fixture
    def reader(self, database: Database, rows: PushNotificationRepository) -> PushNotificationReader:
        return PushNotificationReader(rows, DatabaseClock(database.client))

    @pytest.mark.parametrize(
        "row",
        [
            make_row(),
            claimed_row(),
            settled_row(sent_at=RECENTLY, delivered_at=RECENTLY + MINUTE, title=None, body=None),
            make_row(broadcast=BroadcastModel(kind=BroadcastKind.TOPIC, address="news", app_id="shop")),
        ],
        ids=["pending", "claimed", "settled", "broadcast"],
    )
    async def test_a_row_comes_back_as_it_was_inserted(
        self, rows: PushNotificationRepository, reader: PushNotificationReader, row: PushNotificationModel
    ) -> None:
        assert await rows.insert(row)
        assert await rows.find(row.id) == row
        assert await reader.get(str(row.id)) == row

    async def test_a_key_of_an_account_is_taken_once(self, rows: PushNotificationRepository) -> None:
        first = make_row(idempotency_key="order-7")
        assert await rows.insert(first)
        second = make_row(idempotency_key="order-7", title="Another")
        assert not await rows.insert(second)
        assert await rows.find(second.id) is None
        assert await rows.find_by_key("ana", "order-7") == first

    async def test_accounts_do_not_share_keys_and_a_row_needs_none(
        self, rows: PushNotificationRepository
    ) -> None:
        keyed = {account_id: make_row(account_id=account_id, idempotency_key="k") for account_id in "ab"}
        for row in (*keyed.values(), make_row(account_id="a"), make_row(account_id="a")):
            assert await rows.insert(row)
        assert {account_id: await rows.find_by_key(account_id, "k") for account_id in "ab"} == keyed
        assert await rows.find_by_key("a", "another") is None

    async def test_a_row_that_is_there_is_confirmed(self, rows: PushNotificationRepository) -> None:
        row = make_row()
        await rows.insert(row)
        assert [await rows.confirm(row_id) for row_id in (row.id, ObjectId())] == [True, False]
        assert await rows.find(row.id) == row

    @pytest.mark.parametrize("notification_id", ["0" * 24, "nonsense", ""])
    async def test_an_id_that_no_row_has_is_an_error(
        self, reader: PushNotificationReader, notification_id: str
    ) -> None:
        with pytest.raises(PushNotificationNotFoundError):
            await reader.get(notification_id)

    async def test_what_cannot_be_read_is_an_error(
        self, database: Database, rows: PushNotificationRepository
    ) -> None:
        row = make_row()
        await put_unchecked(database, rows, {**row.to_document(), "schema_version": 2, "added": "a secret"})
        with pytest.raises(UnreadableRecordError) as refused:
            await rows.find(row.id)
        assert refused.value.fields == ("added", "schema_version")

    async def test_an_accounts_rows_come_newest_first_page_by_page(
        self, database: Database, rows: PushNotificationRepository, reader: PushNotificationReader
    ) -> None:
        own = [make_row(created_at=RECENTLY + number * MINUTE) for number in (2, 0, 4, 1, 3)]
        await put(database, rows, *(row.to_document() for row in (*own, make_row(account_id="bob"))))
        newest_first = sorted(own, key=lambda row: row.created_at, reverse=True)
        assert await reader.newest("ana", limit=10) == newest_first
        first = await reader.newest("ana", limit=2)
        assert first == newest_first[:2]
        second = await reader.newest("ana", limit=2, before=first[-1].created_at)
        assert second == newest_first[2:4]
        assert await reader.newest("ana", limit=2, before=newest_first[-1].created_at) == []

    async def test_a_listing_leaves_out_what_cannot_be_read_and_says_so(
        self, database: Database, rows: PushNotificationRepository
    ) -> None:
        readable, other = make_row(), make_row()
        await put_unchecked(database, rows, readable.to_document(), {**other.to_document(), "added": 1})
        with capture_logs() as logs:
            assert await rows.newest("ana", limit=10) == [readable]
        [entry] = logs
        assert (entry["action"], entry["id"]) == ("push.unreadable", str(other.id))

    async def test_a_campaigns_row_has_the_content_of_its_campaign(
        self, database: Database, rows: PushNotificationRepository
    ) -> None:
        campaign_id, lost_id = ObjectId(), ObjectId()
        content = content_of(make_row(title="Sale", data={"shop": "7"}, click_action="/sale"))
        await database["campaigns"].insert_one({"_id": campaign_id, "content": content})
        row, orphan = (
            new_bulk_row(ObjectId(), of, 4, "ana", expires_at=None, now=RECENTLY)
            for of in (campaign_id, lost_id)
        )
        own = make_row(created_at=RECENTLY - MINUTE)
        await put(database, rows, row, orphan, own.to_document())
        found = await rows.find(row["_id"])
        assert found is not None
        assert (found.title, found.data, found.click_action) == ("Sale", {"shop": "7"}, "/sale")
        assert found.campaign is not None
        assert (found.campaign.id, found.campaign.page) == (campaign_id, 4)
        with pytest.raises(UnreadableRecordError):
            await rows.find(orphan["_id"])
        assert await rows.newest("ana", limit=10) == [found, own]

    async def test_how_rows_stand_is_read_without_their_content(
        self, database: Database, rows: PushNotificationRepository, reader: PushNotificationReader
    ) -> None:
        devices = [
            make_device(outcome, f"device-{number}")
            for number, outcome in enumerate((Outcome.ACCEPTED, Outcome.TARGET_DEAD, Outcome.ACCEPTED))
        ]
        sent = settled_row(devices=devices)
        failed = settled_row(Status.FAILED, error_type="no_active_devices")
        given_back = [EventModel(at=RECENTLY, event=event, detail="") for event in ("claimed", LET_GO)]
        let_go = make_row(events=given_back)
        begun_again = make_row(events=given_back[::-1])
        stored = (sent, failed, let_go, begun_again)
        await put(database, rows, *(row.to_document() for row in stored), make_row().to_document())
        standings = await reader.standings([*(row.id for row in stored), ObjectId()])
        expected: dict[ObjectId, dict[str, Any]] = {
            sent.id: {"status": Status.SENT, "accepted": 2, "failed": 1},
            failed.id: {"status": Status.FAILED, "error_type": "no_active_devices"},
            let_go.id: {"due_at": RECENTLY, "was_let_go": True},
            begun_again.id: {"due_at": RECENTLY},
        }
        plain: dict[str, Any] = {
            "status": Status.PENDING,
            "active": True,
            "due_at": None,
            "error_type": None,
            "accepted": 0,
            "failed": 0,
            "was_let_go": False,
        }
        assert {standing.id: standing for standing in standings} == {
            row_id: RowStanding(id=row_id, **{**plain, **over}) for row_id, over in expected.items()
        }

    async def test_a_status_of_another_version_counts_as_being_processed(
        self, database: Database, rows: PushNotificationRepository
    ) -> None:
        row = make_row()
        await put_unchecked(database, rows, {**row.to_document(), "status": "parked", "added": 1})
        [standing] = await rows.standings([row.id])
        assert standing.status is Status.PROCESSING

    async def test_pages_hold_every_due_row_once_oldest_first(
        self, database: Database, rows: PushNotificationRepository, reader: PushNotificationReader
    ) -> None:
        # Three at a moment, so that pages begin and end within one.
        due = [make_row(due_at=RECENTLY - (number // 3) * MINUTE) for number in range(8)]
        later, ended = make_row(due_at=RECENTLY + MINUTE), settled_row()
        await put(database, rows, *(row.to_document() for row in (*due, later, ended)))
        expected = sorted((row.due_at, str(row.id)) for row in due if row.due_at is not None)
        for limit in (1, 2, 3, 100):
            paged: list[tuple[Any, str]] = []
            while (
                page := await reader.due_page(after=paged[-1] if paged else None, until=RECENTLY, limit=limit)
            ).rows:
                paged += [(row.due_at, row.notification_id) for row in page.rows]
                assert paged == expected[: len(paged)]
                assert len(page.rows) <= limit
                assert page.until == RECENTLY
            assert paged == expected

    async def test_a_due_row_says_whose_it_is_and_whether_its_claim_ran_out(
        self, database: Database, rows: PushNotificationRepository, reader: PushNotificationReader
    ) -> None:
        waiting = make_row(account_id="bob", due_at=RECENTLY - MINUTE)
        await put(database, rows, claimed_row(due_at=RECENTLY).to_document(), waiting.to_document())
        found = (await reader.due_page(after=None, until=None, limit=10)).rows
        assert [(row.account_id, row.priority, row.reclaimed) for row in found] == [
            ("bob", Priority.NORMAL, False),
            ("ana", Priority.IMMEDIATE, True),
        ]

    async def test_due_rows_are_counted_up_to_a_limit(
        self, database: Database, rows: PushNotificationRepository, reader: PushNotificationReader
    ) -> None:
        later = make_row(due_at=RECENTLY + timedelta(hours=1))
        await put(database, rows, *(row.to_document() for row in (later, *(make_row() for _ in range(3)))))
        assert [await reader.due_count(limit=limit) for limit in (2, 3, 10)] == [2, 3, 3]

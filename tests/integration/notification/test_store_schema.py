"""What MongoDB itself refuses, and which index serves which query."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.collection import Collection
from pymongo.errors import WriteError

from modules.application.mongo_database import MongoDatabase
from modules.notification.internals.domain.lifecycle import TRANSITIONS
from modules.notification.internals.push_notification_reader import PushNotificationReader
from modules.notification.internals.push_notification_writer import PushNotificationWriter
from modules.notification.internals.store.push_notification_repository import PushNotificationRepository
from modules.notification.internals.store.rows.row_claim_repository import RowClaimRepository
from modules.notification.types import Status
from tests.support.push_rows import LEASE_SECONDS, Document, final_document, make_document, make_push

DOCUMENT_VALIDATION_FAILURE = 121
ROWS = 20_000
DUE = 200


def assert_refused(error: pytest.ExceptionInfo[WriteError]) -> None:
    assert error.value.code == DOCUMENT_VALIDATION_FAILURE


async def test_ensuring_twice_changes_nothing(
    repository: PushNotificationRepository, rows: Collection[Document]
) -> None:
    before = (rows.index_information(), rows.options()["validator"])
    await repository.ensure()
    assert (rows.index_information(), rows.options()["validator"]) == before


async def test_both_indexes_of_the_document_exist(
    repository: PushNotificationRepository, rows: Collection[Document]
) -> None:
    keys = [index["key"] for index in rows.index_information().values()]
    assert [("status", 1), ("expires_at", 1), ("next_retry_at", 1)] in keys
    assert [("account_id", 1), ("created_at", -1)] in keys


async def test_the_retention_follows_the_setting(
    repository: PushNotificationRepository, database: MongoDatabase, rows: Collection[Document]
) -> None:
    assert rows.index_information()["retention"]["expireAfterSeconds"] == 90 * 86_400
    await PushNotificationRepository(database.database, retention_days=30).ensure()
    assert rows.index_information()["retention"]["expireAfterSeconds"] == 30 * 86_400


@pytest.mark.parametrize(
    "over",
    [
        {"status": "paused", "last_transition": {"source": None, "target": "paused"}},
        {"priority": "urgent"},
        {"data": {"count": 3}},
        {"data": {"nested": {"a": "b"}}},
        {"title": ""},
        {"body": ...},
        {"account_id": ""},
        {"retry_count": -1},
        {"schema_version": 2},
        {"outcome_policy": "exactly_once"},
        {"due_at": ...},
        {"finished_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"last_transition": {"source": "sent", "target": "pending"}},
        {"last_transition": ...},
        {"active": False},
    ],
    ids="-".join,
)
async def test_a_row_that_is_not_one_is_refused(
    repository: PushNotificationRepository, rows: Collection[Document], over: Document
) -> None:
    with pytest.raises(WriteError) as error:
        rows.insert_one(make_document(**over))
    assert_refused(error)
    assert rows.count_documents({}) == 0


async def test_a_row_that_is_one_is_taken(
    repository: PushNotificationRepository, rows: Collection[Document]
) -> None:
    rows.insert_many([make_document(), *(final_document(each) for each in ("sent", "failed", "expired"))])
    assert rows.count_documents({}) == 4


@pytest.mark.parametrize("status", ["pending", "processing"])
@pytest.mark.parametrize("final", ["sent", "failed", "expired"])
async def test_a_final_row_is_not_revived(
    repository: PushNotificationRepository, rows: Collection[Document], final: str, status: str
) -> None:
    row = final_document(final)
    rows.insert_one(row)
    attempts: list[Document] = [
        {"status": status},
        {"status": status, "last_transition": {"source": final, "target": status}},
        {"status": status, "last_transition": {"source": "pending", "target": "processing"}},
        {"status": status, "due_at": datetime.now(UTC)},
    ]
    for change in attempts:
        with pytest.raises(WriteError) as error:
            rows.update_one({"_id": row["_id"]}, {"$set": change})
        assert_refused(error)
    assert rows.find_one({"_id": row["_id"]}, {"status": 1}) == {"_id": row["_id"], "status": final}


@pytest.mark.parametrize("source", Status)
@pytest.mark.parametrize("target", Status)
async def test_the_database_knows_the_lifecycle(
    repository: PushNotificationRepository, rows: Collection[Document], source: Status, target: Status
) -> None:
    """Every pair of the lifecycle, as the writer would write it; also each pair that is not in it."""
    finals = ("sent", "delivered", "failed", "expired")
    document = (final_document if target in finals else make_document)(
        **({} if target not in finals else {"status": target.value}),
    )
    document |= {"status": target.value, "last_transition": {"source": source.value, "target": target.value}}
    if target in TRANSITIONS[source]:
        rows.insert_one(document)
    else:
        with pytest.raises(WriteError) as error:
            rows.insert_one(document)
        assert_refused(error)


async def test_a_status_alone_cannot_be_set(
    repository: PushNotificationRepository, rows: Collection[Document]
) -> None:
    rows.insert_one(make_document())
    for status in Status:
        if status is Status.PENDING:
            continue
        with pytest.raises(WriteError) as error:
            rows.update_one({}, {"$set": {"status": status.value}})
        assert_refused(error)


@pytest.fixture
async def backlog(repository: PushNotificationRepository, rows: Collection[Document]) -> list[ObjectId]:
    """20,000 rows: most done, many waiting for later, and 200 due, ten of them at one moment."""
    now = datetime.now(UTC)
    due = [
        make_document(account_id="due", due_at=now - timedelta(seconds=60 + number // 10))
        for number in range(DUE)
    ]
    later = [
        make_document(
            account_id=f"account-{number % 500}",
            due_at=now + timedelta(hours=1, seconds=number),
            next_retry_at=now + timedelta(hours=1, seconds=number),
            created_at=now - timedelta(seconds=number),
        )
        for number in range(5_000)
    ]
    done = [
        final_document(account_id=f"account-{number % 500}", expires_at=now - timedelta(days=1))
        for number in range(ROWS - DUE - len(later))
    ]
    rows.insert_many([*due, *later, *done], ordered=False)
    return [row["_id"] for row in sorted(due, key=lambda row: (row["due_at"], row["_id"]))]


class Profile:
    """What MongoDB did for the queries of a block, by its own profiler."""

    def __init__(self, rows: Collection[Document]) -> None:
        self._rows = rows

    def __enter__(self) -> Profile:
        self._rows.database.command("profile", 2)
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.database.command("profile", 0)

    def operations(self) -> list[dict[str, Any]]:
        wanted = {"ns": self._rows.full_name, "op": {"$in": ["query", "update", "command", "getmore"]}}
        return list(self._rows.database["system.profile"].find(wanted))


def assert_served_by(operation: dict[str, Any], index: str) -> None:
    assert operation["planSummary"].startswith(("IXSCAN", "IDHACK")), operation["planSummary"]
    assert index in operation["planSummary"].replace(" ", "")


async def test_a_page_of_due_rows_reads_what_it_returns(
    backlog: list[ObjectId], reader: PushNotificationReader, rows: Collection[Document]
) -> None:
    seen, after, until = [], None, datetime.now(UTC)
    with Profile(rows) as profile:
        while page := (await reader.due_page(after=after, until=until, limit=50)).rows:
            seen += [row.notification_id for row in page]
            after = (page[-1].due_at, page[-1].notification_id)
    assert seen == [str(row_id) for row_id in backlog]
    operations = profile.operations()
    assert len(operations) == DUE // 50 + 1
    for operation in operations:
        assert_served_by(operation, "{due_at:1,_id:1}")
        assert operation["docsExamined"] <= 1.1 * operation["nreturned"] + 1
        assert not operation.get("hasSortStage", False)


async def test_the_newest_rows_of_an_account_come_from_its_index(
    reader: PushNotificationReader, rows: Collection[Document]
) -> None:
    rows.insert_many([final_document(account_id=f"account-{number % 10}") for number in range(1_000)])
    before = datetime.now(UTC) + timedelta(minutes=1)
    with Profile(rows) as profile:
        assert len(await reader.newest("account-7", limit=5, before=before)) == 5
    (operation,) = profile.operations()
    assert_served_by(operation, "{account_id:1,created_at:-1}")
    assert operation["docsExamined"] == 5


async def test_expiring_reads_no_finished_row(
    backlog: list[ObjectId], writer: PushNotificationWriter, rows: Collection[Document]
) -> None:
    overdue = [make_document(expires_at=datetime.now(UTC) - timedelta(minutes=1)) for _ in range(20)]
    rows.insert_many(overdue)
    with Profile(rows) as profile:
        assert await writer.expire_overdue(limit=1_000) == 20
    find = next(each for each in profile.operations() if each["op"] == "query")
    assert_served_by(find, "{status:1,expires_at:1,next_retry_at:1}")
    assert find["docsExamined"] == find["nreturned"] == 20


async def test_a_row_that_cannot_expire_costs_the_index_of_those_that_can_nothing(
    writer: PushNotificationWriter, rows: Collection[Document]
) -> None:
    await writer.create(make_push())
    row = rows.find_one({}, {"expires_at": 1})
    assert row is not None
    assert "expires_at" not in row
    await writer.create(make_push(expires_at=datetime.now(UTC) + timedelta(hours=1)))
    keys = rows.find({"expires_at": {"$exists": True}}, hint="status_expiry_retry").explain()
    assert keys["executionStats"]["totalKeysExamined"] == 1


async def test_a_claim_of_many_rows_is_read_back_in_one_answer(
    claims: RowClaimRepository, rows: Collection[Document]
) -> None:
    row_ids = rows.insert_many([make_document() for _ in range(250)]).inserted_ids
    with Profile(rows) as profile:
        assert len(await claims.claim(row_ids, owner="me", lease_seconds=LEASE_SECONDS)) == 250
    assert [each["op"] for each in profile.operations()] == ["update", "query"]


async def test_an_idempotency_key_is_found_by_its_index(
    writer: PushNotificationWriter, rows: Collection[Document]
) -> None:
    rows.insert_many([make_document(account_id="account-7") for _ in range(200)])
    first = await writer.create(make_push(account_id="account-7", idempotency_key="key"))
    with Profile(rows) as profile:
        again = await writer.create(make_push(account_id="account-7", idempotency_key="key"))
    assert again.id == first.id
    find = next(each for each in profile.operations() if each["op"] == "query")
    assert_served_by(find, "{account_id:1,idempotency_key:1}")
    assert find["docsExamined"] == 1


async def test_claiming_reads_only_the_rows_asked_for(
    claims: RowClaimRepository, rows: Collection[Document]
) -> None:
    row_ids = rows.insert_many([make_document() for _ in range(500)]).inserted_ids
    with Profile(rows) as profile:
        claimed = await claims.claim(row_ids[:50], owner="me", lease_seconds=LEASE_SECONDS)
    assert len(claimed) == 50
    for operation in profile.operations():
        assert_served_by(operation, "{_id:1}")
        assert operation["docsExamined"] == 50

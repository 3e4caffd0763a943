"""Rows that the primary has and no majority confirms: callers get the id of what may go out, and no more."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pymongo.collection import Collection
from pymongo.write_concern import WriteConcern

from modules.notification.errors import NotificationUnconfirmedError
from modules.notification.internals.push_notification_writer import PushNotificationWriter
from modules.notification.internals.store.push_notification_repository import PushNotificationRepository
from tests.support.opened_database import opened_database
from tests.support.push_rows import Document, make_push


@pytest.fixture
async def unconfirmed(
    mongodb_uri: str, database_name: str, repository: PushNotificationRepository
) -> AsyncIterator[PushNotificationWriter]:
    """A writer whose writes a set of one cannot confirm: they ask for two servers."""
    opened = opened_database(mongodb_uri, database_name, operation_timeout_seconds=0.5)
    two = opened.database.with_options(write_concern=WriteConcern(2, wtimeout=100))
    yield PushNotificationWriter(PushNotificationRepository(two, retention_days=90), opened.clock)
    await opened.close()


async def test_the_error_carries_the_id_of_the_row_that_is_there(
    unconfirmed: PushNotificationWriter, rows: Collection[Document]
) -> None:
    with pytest.raises(NotificationUnconfirmedError) as told:
        await unconfirmed.create(make_push())
    (row,) = rows.find()
    assert told.value.notification_id == str(row["_id"])
    assert told.value.may_have_happened


async def test_a_repeat_under_the_same_key_gets_the_first_id_and_no_acknowledgement_before_a_majority_has_it(
    unconfirmed: PushNotificationWriter, writer: PushNotificationWriter, rows: Collection[Document]
) -> None:
    ids = set()
    for _ in range(2):
        with pytest.raises(NotificationUnconfirmedError) as told:
            await unconfirmed.create(make_push(idempotency_key="key"))
        ids.add(told.value.notification_id)
    confirmed = await writer.create(make_push(idempotency_key="key"))
    assert ids == {str(confirmed.id)}
    assert rows.count_documents({}) == 1

"""The store of push notifications on the real MongoDB, in a database of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection

from local_stack.local_stack_service import LocalStack
from modules.application.mongo_database import MongoDatabase
from modules.notification.internals.push_notification_reader import PushNotificationReader
from modules.notification.internals.push_notification_writer import PushNotificationWriter
from modules.notification.internals.store.push_notification_repository import PushNotificationRepository
from modules.notification.internals.store.rows.row_claim_repository import RowClaimRepository
from tests.support.opened_database import opened_database
from tests.support.push_rows import Document
from tests.support.push_service import PushService, push_service


@pytest.fixture
async def database(mongodb_uri: str, database_name: str) -> AsyncIterator[MongoDatabase]:
    opened = opened_database(mongodb_uri, database_name)
    yield opened
    await opened.close()


@pytest.fixture
async def repository(database: MongoDatabase) -> PushNotificationRepository:
    repository = PushNotificationRepository(database.database, retention_days=90)
    await repository.ensure()
    return repository


@pytest.fixture
def writer(repository: PushNotificationRepository, database: MongoDatabase) -> PushNotificationWriter:
    return PushNotificationWriter(repository, database.clock)


@pytest.fixture
def claims(repository: PushNotificationRepository, database: MongoDatabase) -> RowClaimRepository:
    """`repository`: it has created the collection."""
    return RowClaimRepository(database.database)


@pytest.fixture
def reader(repository: PushNotificationRepository, database: MongoDatabase) -> PushNotificationReader:
    return PushNotificationReader(repository, database.clock)


@pytest.fixture
def rows(mongodb_uri: str, database_name: str) -> Iterator[Collection[Document]]:
    """The collection as MongoDB has it, past every check of ours."""
    with MongoClient[Document](mongodb_uri, tz_aware=True) as client:
        yield client[database_name]["push_notifications"]


@pytest.fixture
def service(stack: LocalStack, database_name: str) -> Iterator[PushService]:
    """The notification service without Temporal: immediate rows are delivered in the call."""
    with push_service(stack, database_name) as running:
        yield running

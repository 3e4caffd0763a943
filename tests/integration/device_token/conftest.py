"""The service under test, bound to a database of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection

from modules.application.event_loop_thread import EventLoopThread
from modules.application.mongo_database import MongoDatabase
from modules.device_token.device_token_service import DeviceTokenService

Document = dict[str, Any]


@pytest.fixture
def devices(database: MongoDatabase, loop_thread: EventLoopThread) -> Iterator[type[DeviceTokenService]]:
    loop_thread.run(DeviceTokenService.start(database=database, loop_thread=loop_thread))
    yield DeviceTokenService
    DeviceTokenService.unbind()


@pytest.fixture
def stored(
    mongodb_uri: str, database_name: str, devices: type[DeviceTokenService]
) -> Iterator[Collection[Document]]:
    """The collection as MongoDB has it."""
    with MongoClient[Document](mongodb_uri, tz_aware=True) as client:
        yield client[database_name]["devices"]


@pytest.fixture
def profiled(stored: Collection[Document]) -> Callable[[Callable[[], object]], list[Document]]:
    """Runs something and returns what MongoDB's profiler recorded of it on the collection."""

    def run(work: Callable[[], object]) -> list[Document]:
        database = stored.database
        database.command("profile", 2)
        try:
            work()
        finally:
            database.command("profile", 0)
        return list(database["system.profile"].find({"ns": stored.full_name}).sort("ts"))

    return run

"""A database of the test's own, as services have it: opened on an event loop in a thread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from modules.application.event_loop_thread import EventLoopThread
from modules.application.mongo_database import MongoDatabase
from tests.support.opened_database import opened_database


@pytest.fixture
def loop_thread() -> Iterator[EventLoopThread]:
    thread = EventLoopThread("test")
    yield thread
    thread.stop()


@pytest.fixture
def database(mongodb_uri: str, database_name: str, loop_thread: EventLoopThread) -> Iterator[MongoDatabase]:
    opened = opened_database(mongodb_uri, database_name)
    yield opened
    loop_thread.run(opened.close())

"""The service under test, bound to a database of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from modules.application.event_loop_thread import EventLoopThread
from modules.application.mongo_database import MongoDatabase
from modules.preference.preference_service import PreferenceService


@pytest.fixture
def preferences(database: MongoDatabase, loop_thread: EventLoopThread) -> Iterator[type[PreferenceService]]:
    loop_thread.run(PreferenceService.start(database=database, loop_thread=loop_thread))
    yield PreferenceService
    PreferenceService.unbind()

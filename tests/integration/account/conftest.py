"""The service under test, bound to a database of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from modules.account.account_service import AccountService
from modules.application.event_loop_thread import EventLoopThread
from modules.application.mongo_database import MongoDatabase


@pytest.fixture
def accounts(database: MongoDatabase, loop_thread: EventLoopThread) -> Iterator[type[AccountService]]:
    loop_thread.run(AccountService.start(database=database, loop_thread=loop_thread))
    yield AccountService
    AccountService.unbind()

"""The service under test, bound to a database of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from modules.account.account_service import AccountService
from modules.application.event_loop_thread import EventLoopThread
from modules.application.mongo_database import MongoDatabase
from modules.config.types import MongoSettings


@pytest.fixture
def accounts(mongodb_uri: str, database_name: str) -> Iterator[type[AccountService]]:
    loop_thread = EventLoopThread("test")
    database = MongoDatabase(
        MongoSettings(
            uri=SecretStr(mongodb_uri),
            database=database_name,
            server_selection_timeout_seconds=5,
            operation_timeout_seconds=20,
        )
    )
    loop_thread.run(AccountService.start(database=database, loop_thread=loop_thread))
    yield AccountService
    AccountService.unbind()
    loop_thread.run(database.close())
    loop_thread.stop()

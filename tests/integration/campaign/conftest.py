"""The store of campaigns on the real MongoDB, in a database of the test's own, on the test's event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from modules.application.mongo_database import MongoDatabase
from tests.support.opened_database import opened_database


@pytest.fixture
async def database(mongodb_uri: str, database_name: str) -> AsyncIterator[MongoDatabase]:
    opened = opened_database(mongodb_uri, database_name)
    yield opened
    await opened.close()

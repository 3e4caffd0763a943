"""The two databases that contracts of stores run over, each as a class to derive the tests from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import cast

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from modules.application.repository import Document, Repository
from tests.support.mongomock_database import MongomockDatabase
from tests.support.opened_database import opened_database

Database = AsyncDatabase[Document]
Prepare = Callable[[Repository], Awaitable[None]]
# In whole milliseconds, as BSON has it; recent, since retention removes what ended long ago.
RECENTLY = datetime.now(UTC).replace(microsecond=0)


class OverMongomock:
    """In memory, with a repository's unique keys, and without its validator and its other indexes."""

    @pytest.fixture
    def database(self) -> Database:
        return cast("Database", MongomockDatabase())

    @pytest.fixture
    def prepare(self, database: Database) -> Prepare:
        async def unique_keys(repository: Repository) -> None:
            unique = [index for index in repository.index_models() if index.document.get("unique")]
            await database[repository.collection_name].create_indexes(unique)

        return unique_keys


class OverMongoDB:
    """A database of the test's own on the real server, prepared as the service prepares it."""

    @pytest.fixture
    async def database(self, mongodb_uri: str, database_name: str) -> AsyncIterator[Database]:
        opened = opened_database(mongodb_uri, database_name)
        yield opened.database
        await opened.close()

    @pytest.fixture
    def prepare(self) -> Prepare:
        return lambda repository: repository.ensure()


async def put(database: Database, repository: Repository, *documents: Document) -> None:
    """Store documents as they are, past the repository; the real database's validator looks at them."""
    await database[repository.collection_name].insert_many(documents)


async def put_unchecked(database: Database, repository: Repository, *documents: Document) -> None:
    """The same past the validator too: what another version of the service may have left."""
    collection = database[repository.collection_name]
    await collection.insert_many(documents, bypass_document_validation=True)

"""A user with readWrite alone: works where all is prepared, and is told what to run where it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar, get_type_hints

import pytest
from pymongo import ASCENDING, DESCENDING, AsyncMongoClient, IndexModel
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.monitoring import CommandListener, CommandStartedEvent

import bootstrap  # noqa: F401  imports every repository there is
from modules.application.collection_upkeep import CollectionNotPreparedError
from modules.application.mongo_database import MongoDatabase
from modules.application.repository import Document, Repository
from tests.integration.application.test_mongo_database import settings
from tests.support.guarded_mongodb import ADMINISTRATOR, GuardedMongodb, guarded_mongodb

SETTINGS: dict[type, float] = {float: 90.5, int: 90}
CHANGES = {"create", "collMod", "createIndexes", "dropIndexes"}


class Things(Repository):
    collection_name: ClassVar[str] = "things"
    indexes: ClassVar[list[IndexModel]] = [
        IndexModel([("name", ASCENDING), ("size", DESCENDING)], name="by_name"),
        IndexModel([("ended_at", ASCENDING)], name="retention", expireAfterSeconds=3600),
        IndexModel(
            [("key", ASCENDING)],
            name="key",
            unique=True,
            partialFilterExpression={"key": {"$exists": True}},
        ),
    ]
    validator: ClassVar[dict[str, Any]] = {"name": {"$type": "string"}}


class StricterThings(Things):
    validator: ClassVar[dict[str, Any]] = {"name": {"$type": "string"}, "size": {"$type": "int"}}


class LongerKeptThings(Things):
    indexes: ClassVar[list[IndexModel]] = [
        IndexModel([("ended_at", ASCENDING)], name="retention", expireAfterSeconds=7200)
    ]


class Changes(CommandListener):
    """What was asked of the server that changes a collection."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in CHANGES:
            self.names.append(event.command_name)

    def succeeded(self, event: object) -> None: ...

    def failed(self, event: object) -> None: ...


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedMongodb]:
    with guarded_mongodb(tmp_path_factory.mktemp("guarded")) as running:
        yield running


@asynccontextmanager
async def opened(uri: str, name: str) -> AsyncIterator[MongoDatabase]:
    database = MongoDatabase(settings(uri, name))
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return f"of_{request.node.name[:40]}"


async def test_who_may_only_read_and_write_starts_where_all_is_prepared(
    guarded: GuardedMongodb, name: str
) -> None:
    plain = guarded.add_user(f"plain-{name}", **{name: ("readWrite",)})
    async with opened(guarded.uri(ADMINISTRATOR), name) as database:
        await Things(database.database).ensure()
    async with opened(plain, name) as database:
        await Things(database.database).ensure()
        await database.database["things"].insert_one({"name": "one"})


async def test_who_may_not_change_what_has_to_be_is_told_what_and_what_to_run(
    guarded: GuardedMongodb, name: str
) -> None:
    plain = guarded.add_user(f"plain-{name}", **{name: ("readWrite",)})
    async with opened(guarded.uri(ADMINISTRATOR), name) as database:
        await Things(database.database).ensure()
    async with opened(plain, name) as database:
        with pytest.raises(CollectionNotPreparedError) as error:
            await StricterThings(database.database).ensure()
        assert (error.value.code, error.value.field) == ("database_not_prepared", "mongodb.uri")
        assert "things has to get another validator" in error.value.reason
        assert "notifications bootstrap" in error.value.reason
        with pytest.raises(CollectionNotPreparedError, match="has to get the index retention"):
            await LongerKeptThings(database.database).ensure()


async def test_a_user_with_more_rights_brings_it_up_to_date(guarded: GuardedMongodb, name: str) -> None:
    uri = guarded.add_user(f"full-{name}", **{name: ("readWrite", "dbAdmin")})
    async with opened(uri, name) as database:
        await Things(database.database).ensure()
        await StricterThings(database.database).ensure()
        await LongerKeptThings(database.database).ensure()
        index = (await database.database["things"].index_information())["retention"]
        assert index["expireAfterSeconds"] == 7200


def every_repository(database: AsyncDatabase[Document]) -> list[Repository]:
    """One of each; those with a time get one that is no whole number."""
    kinds = sorted(_subclasses(Repository), key=lambda kind: kind.__name__)
    return [_made(kind, database) for kind in kinds if kind.__module__.startswith("modules.")]


def _made(kind: Any, database: AsyncDatabase[Document]) -> Any:
    wanted = get_type_hints(kind.__init__)
    further = {
        name: SETTINGS[hint] if hint in SETTINGS else _made(hint, database)
        for name, hint in wanted.items()
        if name not in ("database", "return")
    }
    return kind(database, **further)


def _subclasses(cls: type[Repository]) -> set[Any]:
    direct = set(cls.__subclasses__())
    return direct.union(*map(_subclasses, direct))


async def test_what_is_as_it_has_to_be_is_not_changed(mongodb_uri: str, database_name: str) -> None:
    changes = Changes()
    async with AsyncMongoClient[Document](mongodb_uri, event_listeners=[changes]) as client:
        repositories = every_repository(client[database_name])
        for repository in repositories:
            await repository.ensure()
        assert changes.names.count("create") == len(repositories) >= 8
        changes.names.clear()
        for repository in repositories:
            await repository.ensure()
    assert changes.names == []

"""MongoDB as the service sees it: its clock, its absence, its collections kept up to date."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
import time_machine
from pydantic import SecretStr
from pymongo import ASCENDING, IndexModel, MongoClient
from pymongo.errors import WriteError

from modules.application.errors import ConfigurationError, StoreError, UnavailableError
from modules.application.mongo_database import MongoDatabase
from modules.application.repository import Repository, database_errors
from modules.config.config_service import ConfigService
from modules.config.types import MongoSettings

SECRET = "a-refused-value"
NOWHERE = "mongodb://user:xyzzy@127.0.0.1:1/?replicaSet=rs0"


def settings(uri: str, database: str = "unused", **over: Any) -> MongoSettings:
    wanted = {"server_selection_timeout_seconds": 5, "operation_timeout_seconds": 20, **over}
    return MongoSettings(uri=SecretStr(uri), database=database, **wanted)


@pytest.fixture
async def database(mongodb_uri: str, database_name: str) -> AsyncIterator[MongoDatabase]:
    opened = MongoDatabase(settings(mongodb_uri, database_name))
    yield opened
    await opened.close()


@pytest.fixture
async def nowhere() -> AsyncIterator[MongoDatabase]:
    opened = MongoDatabase(
        settings(NOWHERE, server_selection_timeout_seconds=0.2, operation_timeout_seconds=0.3)
    )
    yield opened
    await opened.close()


class Things(Repository):
    collection_name: ClassVar[str] = "things"
    indexes: ClassVar[list[IndexModel]] = [IndexModel([("name", ASCENDING)], name="by_name")]
    validator: ClassVar[dict[str, Any]] = {"name": {"$type": "string"}}


class StricterThings(Things):
    validator: ClassVar[dict[str, Any]] = {"name": {"$type": "string"}, "size": {"$type": "int"}}


class OtherwiseIndexedThings(Things):
    indexes: ClassVar[list[IndexModel]] = [IndexModel([("size", ASCENDING)], name="by_name")]


async def test_the_clock_is_the_databases(database: MongoDatabase) -> None:
    server = (await database.ping())["localTime"].replace(tzinfo=UTC)
    now = await database.clock.now()
    assert now.utcoffset() == timedelta(0)
    assert abs(now - server) < timedelta(seconds=2)


@pytest.mark.parametrize("minutes", [-5, 5])
async def test_a_wrong_clock_of_this_host_changes_nothing(database: MongoDatabase, minutes: int) -> None:
    """Fault 32: leases and expiry go by the database's time."""
    real = await database.clock.now()
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=minutes)):
        assert abs(await database.clock.now() - real) < timedelta(seconds=30)


async def test_an_absent_database_is_unavailable_and_its_address_is_not_told(nowhere: MongoDatabase) -> None:
    for work in (nowhere.ping, nowhere.clock.now):
        with pytest.raises(UnavailableError) as error:
            await work()
        assert error.value.code == "database_unavailable"
        assert "xyzzy" not in str(error.value)
        assert "127.0.0.1" not in str(error.value)


@pytest.mark.parametrize(
    "uri",
    [
        "postgres://user:xyzzy@host/db",
        "mongodb://user:xyzzy@:bad",
        "mongodb://",
        "mongodb://user:xy/zzy@host",
    ],
)
def test_an_address_that_is_none_is_a_configuration_error_without_the_password(uri: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        MongoDatabase(ConfigService.load({"APP_ENV": "test", "MONGODB_URI": uri}).mongodb)
    assert error.value.field == "mongodb.uri"
    assert "xyzzy" not in f"{error.value}{error.value.__cause__}"


async def test_what_the_database_refuses_for_good_is_told_without_the_values(database: MongoDatabase) -> None:
    await Things(database.database).ensure()
    with pytest.raises(StoreError, match="121") as error:
        async with database_errors():
            await database.database["things"].insert_one({"name": {"first": SECRET}})
    assert SECRET not in "".join(traceback.format_exception(error.value))


async def test_writes_go_to_a_majority(database: MongoDatabase) -> None:
    assert database.database.write_concern.document == {"w": "majority"}


async def test_a_collection_is_created_once_and_its_validator_brought_up_to_date(
    database: MongoDatabase, mongodb_uri: str, database_name: str
) -> None:
    await Things(database.database).ensure()
    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        things = client[database_name]["things"]
        things.insert_one({"name": "one"})
        with pytest.raises(WriteError):
            things.insert_one({"name": 1})
        await StricterThings(database.database).ensure()
        with pytest.raises(WriteError):
            things.insert_one({"name": "two"})
        things.insert_one({"name": "three", "size": 3})
        assert things.count_documents({}) == 2, "what was there stays"
        assert set(things.index_information()) == {"_id_", "by_name"}


async def test_an_index_that_became_another_is_not_passed_over(database: MongoDatabase) -> None:
    await Things(database.database).ensure()
    with pytest.raises(StoreError):
        await OtherwiseIndexedThings(database.database).ensure()


class PartlyIndexedThings(Things):
    indexes: ClassVar[list[IndexModel]] = [
        IndexModel([("name", ASCENDING)], name="by_name", partialFilterExpression={"size": {"$exists": True}})
    ]


async def test_an_index_that_holds_fewer_documents_now_is_replaced_by_several_processes_at_once(
    database: MongoDatabase, mongodb_uri: str, database_name: str
) -> None:
    await Things(database.database).ensure()
    await asyncio.gather(*(PartlyIndexedThings(database.database).ensure() for _ in range(4)))
    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        found = client[database_name]["things"].index_information()["by_name"]
    assert found["partialFilterExpression"] == {"size": {"$exists": True}}


async def test_a_unique_index_is_never_without_effect(database: MongoDatabase) -> None:
    class Unique(Things):
        indexes: ClassVar[list[IndexModel]] = [IndexModel([("name", ASCENDING)], name="by_name", unique=True)]

    class PartlyUnique(Things):
        indexes: ClassVar[list[IndexModel]] = [
            IndexModel(
                [("name", ASCENDING)],
                name="by_name",
                unique=True,
                partialFilterExpression={"size": {"$exists": True}},
            )
        ]

    await Unique(database.database).ensure()
    with pytest.raises(StoreError):
        await PartlyUnique(database.database).ensure()


class LaterThings(StricterThings):
    validator_version: ClassVar[int] = 2
    indexes: ClassVar[list[IndexModel]] = [
        IndexModel([("name", ASCENDING)], name="by_name"),
        IndexModel(
            [("at", ASCENDING)],
            name="leaving",
            expireAfterSeconds=60,
            partialFilterExpression={"at": {"$exists": True}},
        ),
    ]


class EarlierThings(Things):
    indexes: ClassVar[list[IndexModel]] = [
        *Things.indexes,
        IndexModel([("at", ASCENDING)], name="leaving", expireAfterSeconds=3600),
        IndexModel([("size", ASCENDING)], name="by_size"),
    ]


async def test_an_earlier_release_takes_nothing_back_that_a_later_one_has_set(
    database: MongoDatabase, mongodb_uri: str, database_name: str
) -> None:
    await EarlierThings(database.database).ensure()
    await LaterThings(database.database).ensure()
    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        things = client[database_name]["things"]
        later, indexes = things.options(), things.index_information()
        await EarlierThings(database.database).ensure()
        assert (things.options(), things.index_information()) == (later, indexes)
        things.drop_index("by_size")
        await EarlierThings(database.database).ensure()
        assert things.index_information() == indexes, "what it cannot do without is there again"
        with pytest.raises(WriteError):
            things.insert_one({"name": "two"})
    await LaterThings(database.database).ensure()


async def test_a_validator_from_before_there_were_versions_is_brought_up_to_date(
    database: MongoDatabase, mongodb_uri: str, database_name: str
) -> None:
    await database.database.create_collection("things", validator=dict(Things.validator))
    await StricterThings(database.database).ensure()
    with MongoClient[dict[str, Any]](mongodb_uri) as client, pytest.raises(WriteError):
        client[database_name]["things"].insert_one({"name": "two"})

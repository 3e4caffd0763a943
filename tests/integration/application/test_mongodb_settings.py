"""A wrong setting of MongoDB is told from a MongoDB that is away, by real servers and what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local_stack.local_stack_service import LocalStack
from modules.application.errors import ConfigurationError, HostUnknownError, ServiceError, UnavailableError
from modules.application.mongo_database import MongoDatabase
from modules.config.config_service import ConfigService
from tests.support.fcm_files import TlsFiles, write_tls_files
from tests.support.guarded_mongodb import ADMINISTRATOR, PASSWORD, GuardedMongodb, guarded_mongodb
from tests.support.tls_front import TlsFront


async def refusal(uri: str, name: str = "notifications") -> ServiceError:
    variables = {
        "APP_ENV": "test",
        "MONGODB_URI": uri,
        "MONGODB_DATABASE": name,
        "MONGODB_SERVER_SELECTION_TIMEOUT_SECONDS": "1",
    }
    with pytest.raises(ServiceError) as error:
        database = MongoDatabase(ConfigService.load(variables).mongodb)
        try:
            await database.ping()
            await database.check_access()
        finally:
            await database.close()
    return error.value


def assert_blames_the_uri(error: ServiceError, words: str) -> None:
    assert isinstance(error, ConfigurationError), error
    assert error.field == "mongodb.uri"
    assert "mongodb.uri (MONGODB_URI)" in str(error)
    assert words in error.reason
    assert PASSWORD not in str(error)
    assert "127.0.0.1" not in str(error)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedMongodb]:
    with guarded_mongodb(tmp_path_factory.mktemp("guarded")) as running:
        yield running


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    return write_tls_files(tmp_path / "tls")


def port_of(uri: str) -> int:
    port = urlsplit(uri).port
    assert port is not None
    return port


async def test_another_replica_sets_name(mongodb_uri: str) -> None:
    error = await refusal(f"mongodb://127.0.0.1:{port_of(mongodb_uri)}/?replicaSet=other")
    assert_blames_the_uri(error, "names a replica set (replicaSet)")


async def test_a_host_that_does_not_exist() -> None:
    error = await refusal("mongodb://no-such-host.invalid/?replicaSet=rs0")
    assert_blames_the_uri(error, "names a host that does not exist")
    assert isinstance(error, HostUnknownError)


async def test_of_two_hosts_one_that_exists_and_is_away_is_no_wrong_setting() -> None:
    error = await refusal("mongodb://no-such-host.invalid,127.0.0.1:1/?replicaSet=rs0")
    assert isinstance(error, UnavailableError)


async def test_a_server_that_is_away_is_no_wrong_setting_and_named_all_the_same() -> None:
    error = await refusal("mongodb://127.0.0.1:1/?replicaSet=rs0")
    assert isinstance(error, UnavailableError)
    assert (error.code, error.field) == ("database_unavailable", "mongodb.uri")


async def test_tls_to_a_server_that_speaks_none(mongodb_uri: str) -> None:
    error = await refusal(f"mongodb://127.0.0.1:{port_of(mongodb_uri)}/?replicaSet=rs0&tls=true")
    assert_blames_the_uri(error, "asks for TLS")


async def test_no_tls_to_a_server_that_speaks_nothing_else(mongodb_uri: str, files: TlsFiles) -> None:
    async with TlsFront("127.0.0.1", port_of(mongodb_uri), files) as front:
        error = await refusal(f"mongodb://127.0.0.1:{front.port}/?replicaSet=rs0")
    assert_blames_the_uri(error, "tls=true is missing")


async def test_a_certificate_that_is_not_trusted(stack: LocalStack) -> None:
    port = port_of(stack.simulator.endpoint)
    error = await refusal(f"mongodb://127.0.0.1:{port}/?replicaSet=rs0&tls=true")
    assert_blames_the_uri(error, "certificate is not trusted")


async def test_an_authority_file_that_is_not_there(tmp_path: Path) -> None:
    error = await refusal(f"mongodb://127.0.0.1:1/?tls=true&tlsCAFile={tmp_path / 'no-such.pem'}")
    assert_blames_the_uri(error, "names a file that cannot be read")


async def test_an_authority_file_that_holds_no_certificate(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    error = await refusal(f"mongodb://127.0.0.1:1/?tls=true&tlsCAFile={tmp_path / 'ca.pem'}")
    assert isinstance(error, ConfigurationError)
    assert error.field == "mongodb.uri"


@pytest.mark.parametrize("option", ["replcaSet=rs0", "replicaSet=rs0&tls=perhaps", "w=-1", "p@host"])
async def test_an_option_that_does_not_exist(option: str) -> None:
    error = await refusal(f"mongodb://127.0.0.1:1/?{option}")
    assert isinstance(error, ConfigurationError)
    assert error.field == "mongodb.uri"


async def test_a_wrong_password(guarded: GuardedMongodb) -> None:
    error = await refusal(guarded.uri(ADMINISTRATOR, password="another-xyzzy"))
    assert_blames_the_uri(error, "credentials")
    assert "another-xyzzy" not in str(error)


async def test_no_user_where_one_is_asked_for(guarded: GuardedMongodb) -> None:
    error = await refusal(f"mongodb://127.0.0.1:{guarded.port}/?replicaSet=rs0")
    assert isinstance(error, ConfigurationError)
    assert error.field == "mongodb.uri"


async def test_a_user_of_another_database(guarded: GuardedMongodb) -> None:
    error = await refusal(guarded.add_user("elsewhere", other=("readWrite",)))
    assert isinstance(error, ConfigurationError)
    assert error.field == "mongodb.uri"

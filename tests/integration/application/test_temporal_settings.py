"""A wrong setting of Temporal is told from a Temporal that is away, by real servers and what they say."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local_stack.local_stack_service import LocalStack
from modules.application.errors import ConfigurationError, HostUnknownError, ServiceError, UnavailableError
from modules.application.internals.temporal_gateway import TemporalGateway
from modules.application.internals.worker_runtime import WorkerRuntime
from modules.config.config_service import ConfigService
from modules.config.types import TemporalSettings
from modules.notification.workers.push_notifications_worker import PushNotificationsWorker
from tests.support.fcm_files import TlsFiles, write_tls_files
from tests.support.grpc_refusal import refusing_frontend
from tests.support.tls_front import TlsFront

KEY = "xyzzy-of-the-namespace"
REFUSED_BY_SERVER = ["@every soon", "@every -5m", "TZ=No/Where @daily", "* * * * * 9999"]
TAKEN = ["*/5 * * * * *", "* * * * * * *", "@hourly", "@every 1h/20m", "0 3 * jan mon # at night"]


def settings(address: str, **variables: str) -> TemporalSettings:
    own = {
        "TEMPORAL_TASK_QUEUE_PREFIX": f"test-{uuid.uuid4().hex[:8]}",
        "TEMPORAL_CONNECT_TIMEOUT_SECONDS": "10",
    }
    return ConfigService.load({"APP_ENV": "test", "TEMPORAL_ADDRESS": address, **own, **variables}).temporal


async def refusal(wanted: TemporalSettings) -> ServiceError:
    with pytest.raises(ServiceError) as error:
        await TemporalGateway(wanted, search_attributes=()).client()
    return error.value


def assert_blames(error: ServiceError, field: str, variable: str) -> None:
    assert isinstance(error, ConfigurationError), error
    assert error.field == field, error
    assert f"{field} ({variable})" in str(error)
    assert KEY not in str(error)


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    return write_tls_files(tmp_path / "tls")


@pytest.fixture
async def front(temporal_address: str, files: TlsFiles) -> AsyncIterator[TlsFront]:
    host, _, port = temporal_address.rpartition(":")
    async with TlsFront(host, int(port), files) as running:
        yield running


def tls(files: TlsFiles, **over: str) -> dict[str, str]:
    return {
        "TEMPORAL_TLS": "true",
        "TEMPORAL_TLS_SERVER_NAME": "localhost",
        "TEMPORAL_TLS_CA_FILE": str(files.ca_file),
        **over,
    }


async def test_a_namespace_that_does_not_exist_is_named(temporal_address: str) -> None:
    error = await refusal(settings(temporal_address, TEMPORAL_NAMESPACE="no-such-namespace"))
    assert_blames(error, "temporal.namespace", "TEMPORAL_NAMESPACE")


async def test_a_host_that_does_not_exist_is_named() -> None:
    error = await refusal(settings("no-such-host.invalid:7233"))
    assert_blames(error, "temporal.address", "TEMPORAL_ADDRESS")
    assert isinstance(error, HostUnknownError)


async def test_a_server_that_is_away_is_no_wrong_setting_and_named_all_the_same() -> None:
    error = await refusal(settings("127.0.0.1:1"))
    assert isinstance(error, UnavailableError)
    assert (error.code, error.field) == ("temporal_unavailable", "temporal.address")


async def test_tls_to_a_server_that_speaks_none(temporal_address: str) -> None:
    assert_blames(
        await refusal(settings(temporal_address, TEMPORAL_TLS="true")), "temporal.tls.enabled", "TEMPORAL_TLS"
    )


async def test_no_tls_to_a_server_that_speaks_nothing_else(front: TlsFront) -> None:
    error = await refusal(settings(f"127.0.0.1:{front.port}"))
    assert_blames(error, "temporal.tls.enabled", "TEMPORAL_TLS")


async def test_no_tls_to_a_server_that_shows_its_certificate_to_anybody(stack: LocalStack) -> None:
    endpoint = stack.simulator.endpoint.removeprefix("https://")
    error = await refusal(settings(endpoint))
    assert_blames(error, "temporal.tls.enabled", "TEMPORAL_TLS")


async def test_a_certificate_that_is_not_trusted(front: TlsFront) -> None:
    wanted = settings(f"127.0.0.1:{front.port}", TEMPORAL_TLS="true", TEMPORAL_TLS_SERVER_NAME="localhost")
    assert_blames(await refusal(wanted), "temporal.tls.ca_file", "TEMPORAL_TLS_CA_FILE")


async def test_a_certificate_for_another_name(front: TlsFront, files: TlsFiles) -> None:
    wanted = settings(f"127.0.0.1:{front.port}", **tls(files, TEMPORAL_TLS_SERVER_NAME="elsewhere.example"))
    assert_blames(await refusal(wanted), "temporal.tls.server_name", "TEMPORAL_TLS_SERVER_NAME")


async def test_a_key_file_that_holds_no_key(temporal_address: str, files: TlsFiles, tmp_path: Path) -> None:
    wrong = tmp_path / "key.pem"
    wrong.write_text("no key")
    given = {"TEMPORAL_TLS_CERT_FILE": str(files.certificate_file), "TEMPORAL_TLS_KEY_FILE": str(wrong)}
    error = await refusal(settings(temporal_address, **tls(files, **given)))
    assert_blames(error, "temporal.tls.key_file", "TEMPORAL_TLS_KEY_FILE")


async def test_a_file_that_is_a_folder(temporal_address: str, files: TlsFiles, tmp_path: Path) -> None:
    error = await refusal(settings(temporal_address, **tls(files, TEMPORAL_TLS_CA_FILE=str(tmp_path))))
    assert_blames(error, "temporal.tls.ca_file", "TEMPORAL_TLS_CA_FILE")


@pytest.mark.parametrize(("status", "message"), [(16, "Jwt is missing"), (7, "Request unauthorized.")])
async def test_a_key_that_the_server_refuses(files: TlsFiles, status: int, message: str) -> None:
    async with refusing_frontend(files, status, message) as port:
        wanted = settings(f"127.0.0.1:{port}", **tls(files, TEMPORAL_API_KEY=KEY))
        assert_blames(await refusal(wanted), "temporal.api_key", "TEMPORAL_API_KEY")


async def test_a_server_that_is_not_ready_is_no_wrong_setting(files: TlsFiles) -> None:
    async with refusing_frontend(files, 14, "not ready") as port:
        assert isinstance(await refusal(settings(f"127.0.0.1:{port}", **tls(files))), UnavailableError)


@pytest.mark.parametrize("expression", REFUSED_BY_SERVER)
async def test_the_servers_word_on_a_cron_expression_is_kept(temporal_address: str, expression: str) -> None:
    wanted = settings(temporal_address)
    assert ConfigService.load({"APP_ENV": "test", "SCAN_CRON": expression}), "load leaves it to the server"
    runtime = WorkerRuntime(TemporalGateway(wanted, search_attributes=()), wanted)
    with pytest.raises(ConfigurationError) as error:
        await runtime.schedules.schedule_as_cron(PushNotificationsWorker, expression)
    assert_blames(error.value, "scan.cron", "SCAN_CRON")
    assert "Invalid schedule spec: " in error.value.reason


@pytest.mark.parametrize("expression", TAKEN)
async def test_what_load_takes_the_server_takes(temporal_address: str, expression: str) -> None:
    wanted = settings(temporal_address)
    assert ConfigService.load({"APP_ENV": "test", "SCAN_CRON": expression}).scan.cron == expression
    gateway = TemporalGateway(wanted, search_attributes=())
    schedule_id = await WorkerRuntime(gateway, wanted).schedules.schedule_as_cron(
        PushNotificationsWorker, expression
    )
    await (await gateway.client()).get_schedule_handle(schedule_id).delete()

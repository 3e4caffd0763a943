"""Servers on loopback that an FCM channel really talks to, and channels that talk to them."""

from __future__ import annotations

import math
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from modules.application.errors import ServiceError
from modules.config.types import FcmSettings
from modules.notification.internals.channels.fcm.access_token_source import Access, AccessTokenSource
from modules.notification.internals.channels.fcm.answer import FailureKind, FcmResponse, SendFailure
from modules.notification.internals.channels.fcm.token_endpoint import TokenEndpoint
from modules.notification.internals.channels.fcm.transport import FcmTransport
from modules.notification.internals.fcm_service import FCMService
from modules.notification.types import Outcome, TargetResult
from tests.support.fcm_files import TlsFiles, signing_key, write_service_account, write_tls_files
from tests.support.fcm_socket import FcmSocket
from tests.support.fcm_token_server import TokenServer

MakeService = Callable[..., FCMService]
MakeSource = Callable[..., AccessTokenSource]
MakeTransport = Callable[..., FcmTransport]
BODY = b'{"message":{"token":"t"}}'


class Clock:
    """A clock that a test turns on."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


async def fail(source: AccessTokenSource) -> ServiceError:
    """Why the source grants no access; the reason is one line, and nothing of it shows a secret."""
    with pytest.raises(ServiceError) as failed:
        await source.access()
    assert "\n" not in failed.value.reason
    trace = "".join(traceback.format_exception(failed.value))
    for secret in (signing_key(), signing_key()[40:90], "said the server"):
        assert secret not in trace
    return failed.value


async def post(transport: FcmTransport, body: bytes = BODY) -> FcmResponse | SendFailure:
    return await transport.post(body=body, access=granted())


def granted(project_id: str = "demo-project", token: str = "secret-token") -> Access:
    return Access(project_id=project_id, token=token, renew_at=math.inf, unusable_at=math.inf)


def failure_kind(answer: FcmResponse | SendFailure) -> FailureKind:
    assert isinstance(answer, SendFailure)
    return answer.kind


def outcomes(results: tuple[TargetResult, ...]) -> list[Outcome]:
    return [result.outcome for result in results]


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return write_tls_files(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def fcm(tls: TlsFiles) -> Iterator[FcmSocket]:
    with FcmSocket(tls) as server:
        yield server


@pytest.fixture
def token_server(tls: TlsFiles) -> Iterator[TokenServer]:
    with TokenServer(tls) as server:
        yield server


@pytest.fixture
def credentials_path(tmp_path: Path, token_server: TokenServer) -> Path:
    return write_service_account(tmp_path / "service-account.json", token_server.token_uri)


@pytest.fixture
def make_settings(fcm: FcmSocket, tls: TlsFiles, credentials_path: Path) -> Callable[..., FcmSettings]:
    def make(**over: Any) -> FcmSettings:
        settings: dict[str, Any] = {
            "credentials_path": credentials_path,
            "project_id": None,
            "link_base": None,
            "endpoint": fcm.endpoint,
            "ca_file": tls.ca_file,
            "connect_timeout_seconds": 5,
            "request_timeout_seconds": 10,
            "max_concurrent_requests": 100,
            "apps": {},
        }
        return FcmSettings(**{**settings, **over})

    return make


@pytest_asyncio.fixture
async def make_service(make_settings: Callable[..., FcmSettings]) -> AsyncIterator[MakeService]:
    services: list[FCMService] = []

    def make(max_concurrent_requests: int | None = None, **over: Any) -> FCMService:
        service = FCMService(settings=make_settings(**over), max_concurrent_requests=max_concurrent_requests)
        services.append(service)
        return service

    yield make
    for service in services:
        await service.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def impatient_google_auth(monkeypatch: pytest.MonkeyPatch) -> None:
    """google-auth asks a server that is busy three times; its waits in between are of no interest here."""
    monkeypatch.setattr("google.auth._exponential_backoff.time", SimpleNamespace(sleep=lambda _: None))


@pytest_asyncio.fixture
async def make_source(credentials_path: Path, tls: TlsFiles, clock: Clock) -> AsyncIterator[MakeSource]:
    sources: list[AccessTokenSource] = []

    def make(
        path: Path = credentials_path,
        *,
        ca_file: Path | None = tls.ca_file,
        timeout_seconds: float = 10,
        project_id: str | None = None,
    ) -> AccessTokenSource:
        source = AccessTokenSource(
            credentials_path=path,
            project_id=project_id,
            settings_field="fcm.credentials_path",
            endpoint=TokenEndpoint(ca_file=ca_file, timeout_seconds=timeout_seconds),
            timeout_seconds=timeout_seconds,
            clock=clock,
        )
        sources.append(source)
        return source

    yield make
    for source in sources:
        await source.close()


@pytest_asyncio.fixture
async def make_transport(fcm: FcmSocket, tls: TlsFiles) -> AsyncIterator[MakeTransport]:
    transports: list[FcmTransport] = []

    def make(**over: Any) -> FcmTransport:
        settings: dict[str, Any] = {
            "endpoint": fcm.endpoint,
            "ca_file": tls.ca_file,
            "connect_timeout_seconds": 5.0,
            "request_timeout_seconds": 10.0,
            "max_concurrent_requests": 100,
        }
        transports.append(FcmTransport(**{**settings, **over}))
        return transports[-1]

    yield make
    for transport in transports:
        await transport.close()

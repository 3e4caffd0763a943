"""Servers on loopback that an FCM channel really talks to, and channels that talk to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from modules.config.types import FcmSettings
from modules.notification.internals.fcm_service import FCMService
from tests.support.fcm_files import TlsFiles, write_service_account, write_tls_files
from tests.support.fcm_socket import FcmSocket
from tests.support.fcm_token_server import TokenServer

MakeService = Callable[..., FCMService]


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

"""Temporal behind TLS, as a cluster or Temporal Cloud offers it: certificates and the API key do arrive."""

from __future__ import annotations

from pathlib import Path

import pytest

from modules.application.internals.temporal_gateway import TemporalGateway
from modules.config.config_service import ConfigService
from modules.config.types import TemporalSettings
from temporal_config import SEARCH_ATTRIBUTES
from tests.support.fcm_files import TlsFiles, write_tls_files
from tests.support.tls_front import TlsFront

API_KEY = "key-of-the-namespace"


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    return write_tls_files(tmp_path / "tls")


def settings(front: TlsFront, files: TlsFiles) -> TemporalSettings:
    variables = {
        "APP_ENV": "test",
        "TEMPORAL_ADDRESS": f"127.0.0.1:{front.port}",
        "TEMPORAL_TLS": "true",
        "TEMPORAL_TLS_SERVER_NAME": "localhost",
        "TEMPORAL_TLS_CA_FILE": str(files.ca_file),
        "TEMPORAL_TLS_CERT_FILE": str(files.certificate_file),
        "TEMPORAL_TLS_KEY_FILE": str(files.key_file),
        "TEMPORAL_API_KEY": API_KEY,
    }
    return ConfigService.load(variables).temporal


def front_of(temporal_address: str, files: TlsFiles) -> TlsFront:
    host, _, port = temporal_address.rpartition(":")
    return TlsFront(host, int(port), files)


async def test_the_gateway_connects_with_certificate_and_api_key(
    temporal_address: str, files: TlsFiles
) -> None:
    async with front_of(temporal_address, files) as front:
        gateway = TemporalGateway(settings(front, files), search_attributes=SEARCH_ATTRIBUTES)
        assert await gateway.client()
        sent = {request.get("authorization") for request in front.requests}
        paths = {request[":path"].rpartition("/")[2] for request in front.requests}
    assert sent == {f"Bearer {API_KEY}"}
    assert {"GetSystemInfo", "ListSearchAttributes"} <= paths

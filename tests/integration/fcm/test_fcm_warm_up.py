"""At start each credential is looked at; one that cannot be used closes itself and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from modules.application.errors import ServiceError
from modules.config.types import FcmAppSettings
from modules.notification.internals.fcm_service import FCMService
from modules.notification.types import Outcome, PushTarget
from tests.integration.fcm.conftest import MakeService, outcomes
from tests.support.fcm_factories import make_payload, make_target
from tests.support.fcm_files import TlsFiles, write_service_account, write_tls_files
from tests.support.fcm_socket import FcmSocket
from tests.support.fcm_token_server import TokenServer, refusing
from tests.support.process_logs import capture_logs


def missing(_: Path) -> None:
    """Write nothing."""


def exposed(path: Path) -> None:
    write_service_account(path, "https://127.0.0.1:1/token").chmod(0o644)


def malformed(path: Path) -> None:
    path.touch(mode=0o600)
    path.write_text("{")


def vouching_for_another(path: Path) -> None:
    path.write_bytes(write_tls_files(path.parent / "another").ca_file.read_bytes())


def to_both(path: Path) -> dict[str, object]:
    return {"apps": {"shop": FcmAppSettings(credentials_path=path)}}


TARGETS: list[PushTarget] = [make_target(app_id="shop"), make_target()]


def usable(app_id: str) -> float | None:
    return REGISTRY.get_sample_value("push_credential_usable", {"app_id": app_id})


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (missing, "fcm_credentials_missing"),
        (exposed, "fcm_credentials_exposed"),
        (malformed, "fcm_credentials_invalid"),
    ],
)
async def test_a_file_that_cannot_be_used_closes_its_app_alone_until_it_is_mended(
    spoil: Callable[[Path], None],
    code: str,
    fcm: FcmSocket,
    make_service: MakeService,
    token_server: TokenServer,
    tmp_path: Path,
) -> None:
    path = tmp_path / "shop.json"
    spoil(path)
    service = make_service(**to_both(path))
    with capture_logs() as logs:
        await service.warm_up()
    assert [(entry["action"], entry["app_id"], entry["code"]) for entry in logs] == [
        ("fcm.no_access", "shop", code)
    ]
    assert str(path) in logs[0]["reason"]
    assert (usable("shop"), usable("default")) == (0, 1)

    result = await service.send_push(TARGETS, make_payload())
    assert outcomes(result.results) == [Outcome.MISCONFIGURED, Outcome.ACCEPTED]
    assert not result.results[0].classification.unreached, "it waits for an operator, not for a time"

    path.unlink(missing_ok=True)
    write_service_account(path, token_server.token_uri)
    with capture_logs() as logs:
        await until_granted(service, "shop")
    assert ("fcm.access_regained", "shop") in [(entry["action"], entry["app_id"]) for entry in logs]
    result = await service.send_push(TARGETS, make_payload())
    assert outcomes(result.results) == [Outcome.ACCEPTED] * 2
    assert usable("shop") == 1


async def test_a_refused_credential_is_told_of_and_the_others_are_warmed_up(
    make_service: MakeService, token_server: TokenServer
) -> None:
    token_server.answer = lambda _: refusing("invalid_grant")
    with capture_logs() as logs:
        await make_service().warm_up()
    assert [(entry["action"], entry["code"]) for entry in logs] == [("fcm.no_access", "fcm_token_refused")]


async def test_without_any_usable_credential_it_is_ready_all_the_same(
    make_service: MakeService, tmp_path: Path
) -> None:
    service = make_service(credentials_path=tmp_path / "none.json", **to_both(tmp_path / "no-shop.json"))
    with capture_logs() as logs:
        await service.warm_up()
    assert sorted(entry["app_id"] for entry in logs) == ["default", "shop"]


@pytest.mark.parametrize("spoil", [missing, malformed, vouching_for_another])
async def test_a_file_of_authorities_that_is_mended_is_picked_up(
    spoil: Callable[[Path], None], make_service: MakeService, tls: TlsFiles, tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.pem"
    spoil(ca_file)
    service = make_service(ca_file=ca_file)
    with capture_logs() as logs:
        await service.warm_up()
    assert [entry["action"] for entry in logs] == ["fcm.no_access"]
    ca_file.touch()
    ca_file.write_bytes(tls.ca_file.read_bytes())
    await until_granted(service, "default")
    assert outcomes((await service.send_push([make_target()], make_payload())).results) == [Outcome.ACCEPTED]


async def until_granted(service: FCMService, app_id: str) -> None:
    """A failure holds for a second, so that a server in trouble is not asked all the time."""
    async with asyncio.timeout(10):
        while True:
            try:
                await service.check_credentials(app_id)
            except ServiceError:
                await asyncio.sleep(0.05)
            else:
                return

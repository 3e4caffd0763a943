"""Temporal as the service sees it: opened when needed, its absence told, its search attributes added."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from temporalio.client import Client

from modules.application.errors import ConfigurationError
from modules.application.internals.temporal_diagnosis import TemporalUnavailableError
from modules.application.internals.temporal_gateway import TemporalGateway
from modules.config.config_service import ConfigService
from modules.config.types import TemporalSettings
from temporal_config import SEARCH_ATTRIBUTES

NOWHERE = "127.0.0.1:1"


def settings(address: str, **variables: str) -> TemporalSettings:
    return ConfigService.load({"APP_ENV": "test", "TEMPORAL_ADDRESS": address, **variables}).temporal


def let_failure_pass(gateway: TemporalGateway) -> None:
    """As if the time that a failure holds had gone by."""
    gateway._failed_until = 0.0


async def test_callers_at_once_share_one_connection(temporal_address: str) -> None:
    gateway = TemporalGateway(settings(temporal_address), search_attributes=SEARCH_ATTRIBUTES)
    hooked: list[Client] = []

    async def hook(client: Client) -> None:
        hooked.append(client)

    gateway.on_connected(hook)
    clients = await asyncio.gather(*(gateway.client() for _ in range(10)))
    assert len({id(client) for client in clients}) == 1
    assert hooked == [clients[0]]


async def test_the_search_attributes_are_there_afterwards(temporal_address: str) -> None:
    gateway = TemporalGateway(settings(temporal_address), search_attributes=SEARCH_ATTRIBUTES)
    await gateway.client()
    assert set(SEARCH_ATTRIBUTES) <= await gateway._known_attributes(await gateway.client())


async def test_an_absent_server_is_unavailable_and_tried_again(temporal_address: str) -> None:
    gateway = TemporalGateway(settings(NOWHERE), search_attributes=SEARCH_ATTRIBUTES)
    for _ in range(2):
        with pytest.raises(TemporalUnavailableError) as error:
            await gateway.client()
        assert error.value.code == "temporal_unavailable"
    gateway._settings = settings(temporal_address)
    let_failure_pass(gateway)
    assert await gateway.client()


async def test_a_silent_server_is_given_up_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as never_accepting:
        address = f"127.0.0.1:{never_accepting.getsockname()[1]}"
        wanted = settings(address, TEMPORAL_CONNECT_TIMEOUT_SECONDS="0.3")
        with pytest.raises(TemporalUnavailableError):
            await TemporalGateway(wanted, search_attributes=()).client()


async def test_a_failure_holds_for_a_while_and_is_then_tried_again(temporal_address: str) -> None:
    gateway = TemporalGateway(settings(temporal_address), search_attributes=())
    answers = iter([TemporalUnavailableError("not yet"), None])

    async def hook(_: Client) -> None:
        if (failure := next(answers)) is not None:
            raise failure

    gateway.on_connected(hook)
    for _ in range(3):
        with pytest.raises(TemporalUnavailableError, match="not yet"):
            await gateway.client()
    let_failure_pass(gateway)
    assert await gateway.client()


@dataclass
class HeldHook:
    """A hook that waits to be released."""

    released: asyncio.Event = field(default_factory=asyncio.Event)
    clients: list[Client] = field(default_factory=list)

    async def __call__(self, client: Client) -> None:
        self.clients.append(client)
        await self.released.wait()


async def test_a_caller_waits_no_longer_than_it_said_and_the_connecting_goes_on(
    temporal_address: str,
) -> None:
    gateway = TemporalGateway(settings(temporal_address), search_attributes=())
    hook = HeldHook()
    gateway.on_connected(hook)
    patient = asyncio.create_task(gateway.client())
    for _ in range(2):
        with pytest.raises(TemporalUnavailableError, match="not connected within"):
            await gateway.client(wait_seconds=0.05)
    cancelled = asyncio.create_task(gateway.client())
    await asyncio.wait({cancelled}, timeout=0.05)
    cancelled.cancel()
    hook.released.set()
    assert await asyncio.wait_for(patient, 30) is await gateway.client()
    assert hook.clients == [await gateway.client()], "connected once, for all of them"


async def test_a_hook_that_succeeded_is_not_run_again(temporal_address: str) -> None:
    gateway = TemporalGateway(settings(temporal_address), search_attributes=())
    ran: list[str] = []

    async def first(_: Client) -> None:
        ran.append("first")

    async def second(_: Client) -> None:
        ran.append("second")
        if ran.count("second") == 1:
            raise TemporalUnavailableError("not yet")

    gateway.on_connected(first)
    gateway.on_connected(second)
    with pytest.raises(TemporalUnavailableError, match="not yet"):
        await gateway.client()
    let_failure_pass(gateway)
    await gateway.client()
    assert ran == ["first", "second", "second"]


async def test_who_waits_is_told_when_connecting_is_ended(temporal_address: str) -> None:
    gateway = TemporalGateway(settings(temporal_address), search_attributes=())
    hook = HeldHook()
    gateway.on_connected(hook)
    waiting = asyncio.create_task(gateway.client())
    await asyncio.wait({waiting}, timeout=0.05)
    await gateway.stop()
    with pytest.raises(TemporalUnavailableError, match="ended"):
        await asyncio.wait_for(waiting, 10)


async def test_a_renewed_connection_takes_the_old_ones_place_once_it_is_used(temporal_address: str) -> None:
    gateway = TemporalGateway(settings(temporal_address), search_attributes=())
    old = await gateway.client()
    used: list[Client] = []

    async def use(client: Client) -> None:
        assert await gateway.client() is old
        used.append(client)

    async def fail(_: Client) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        await gateway.renew(fail)
    assert await gateway.client() is old
    await gateway.renew(use)
    assert [await gateway.client()] == used
    assert used != [old]


async def test_a_missing_certificate_names_the_file(tmp_path: Path) -> None:
    wanted = settings(NOWHERE, TEMPORAL_TLS="true", TEMPORAL_TLS_CA_FILE=str(tmp_path / "ca.pem"))
    with pytest.raises(ConfigurationError) as error:
        await TemporalGateway(wanted, search_attributes=()).client()
    assert error.value.field == "temporal.tls.ca_file"
    assert "ca.pem" in error.value.reason

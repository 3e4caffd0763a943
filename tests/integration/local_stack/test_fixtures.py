"""The fixtures other tests stand on: one shared stack a session, one database a test, a stack to break."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from typing import Any

import pytest
from pymongo import MongoClient
from temporalio.client import Client

from local_stack.local_stack_service import LocalStack
from local_stack.types import SimulatorAddress

_names: list[str] = []


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_an_empty_database_of_its_own(turn: int, mongodb_uri: str, database_name: str) -> None:
    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        assert database_name not in client.list_database_names()
        assert not set(_names) & set(client.list_database_names())
        client[database_name].rows.insert_one({"_id": turn})
        assert database_name in client.list_database_names()
    _names.append(database_name)


async def test_temporal_takes_clients(temporal_address: str) -> None:
    client = await Client.connect(temporal_address)
    assert await client.service_client.check_health()


def test_the_simulator_is_reached_over_tls_with_its_own_authority(simulator: SimulatorAddress) -> None:
    trust = ssl.create_default_context(cafile=str(simulator.ca_file))
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(f"{simulator.endpoint}/nowhere", context=trust)
    answer.value.close()
    assert answer.value.code == 404
    assert simulator.credentials_path.exists()


def test_a_fresh_stack_can_be_broken_without_harm_to_the_shared_one(
    stack: LocalStack, fresh_stack: LocalStack
) -> None:
    assert set(fresh_stack.servers) == {"mongodb", "temporal", "simulator"}
    for server in fresh_stack.servers.values():
        server.kill()
    assert all(server.is_running for server in stack.servers.values())

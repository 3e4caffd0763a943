"""Temporal without the SDK's native part, as a forked process asks it: the same answers, the same errors."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from modules.application.internals import grpc_service_client
from modules.application.internals.grpc_service_client import GrpcForkedError, connect_over_grpc
from modules.application.internals.temporal_diagnosis import TemporalUnavailableError
from modules.application.internals.temporal_gateway import TemporalGateway
from modules.config.config_service import ConfigService
from modules.config.types import TemporalSettings
from temporal_config import SEARCH_ATTRIBUTES
from tests.support.fcm_files import write_tls_files
from tests.support.tls_front import TlsFront

API_KEY = "key-of-the-namespace"


def settings(**variables: str) -> TemporalSettings:
    return ConfigService.load({"APP_ENV": "test", **variables}).temporal


async def connected(temporal_address: str) -> Client:
    return await connect_over_grpc(temporal_address, namespace="default", api_key=None, tls=False)


async def test_a_run_is_started_seen_and_ended(temporal_address: str) -> None:
    client = await connected(temporal_address)
    name = f"forked-{uuid4().hex}"
    handle = await client.start_workflow("Nobody", id=name, task_queue=name)
    assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    with pytest.raises(WorkflowAlreadyStartedError) as error:
        await client.start_workflow(
            "Nobody", id=name, task_queue=name, id_conflict_policy=WorkflowIDConflictPolicy.FAIL
        )
    assert error.value.run_id == handle.first_execution_run_id
    waiting = asyncio.create_task(handle.result())
    await handle.terminate("enough")
    with pytest.raises(Exception, match="Workflow execution failed"):
        await waiting


async def test_what_does_not_exist_and_what_takes_too_long_have_their_codes(temporal_address: str) -> None:
    client = await connected(temporal_address)
    with pytest.raises(RPCError) as missing:
        await client.get_workflow_handle(f"none-{uuid4().hex}").describe()
    assert missing.value.status is RPCStatusCode.NOT_FOUND
    name = f"forked-{uuid4().hex}"
    handle = await client.start_workflow("Nobody", id=name, task_queue=name)
    with pytest.raises(RPCError) as late:
        await handle.query("anything", rpc_timeout=timedelta(milliseconds=200))
    assert late.value.status is RPCStatusCode.DEADLINE_EXCEEDED
    await handle.terminate()


async def test_who_gives_up_waiting_ends_the_call(temporal_address: str) -> None:
    client = await connected(temporal_address)
    name = f"forked-{uuid4().hex}"
    handle = await client.start_workflow("Nobody", id=name, task_queue=name)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(handle.result(), 0.2)
    await handle.terminate()


async def test_the_gateway_of_a_forked_process_connects_with_certificate_and_api_key(
    temporal_address: str, tmp_path: Path
) -> None:
    files = write_tls_files(tmp_path / "tls")
    host, _, port = temporal_address.rpartition(":")
    async with TlsFront(host, int(port), files) as front:
        wanted = settings(
            TEMPORAL_ADDRESS=f"127.0.0.1:{front.port}",
            TEMPORAL_TLS="true",
            TEMPORAL_TLS_SERVER_NAME="localhost",
            TEMPORAL_TLS_CA_FILE=str(files.ca_file),
            TEMPORAL_TLS_CERT_FILE=str(files.certificate_file),
            TEMPORAL_TLS_KEY_FILE=str(files.key_file),
            TEMPORAL_API_KEY=API_KEY,
        )
        gateway = TemporalGateway(wanted, search_attributes=SEARCH_ATTRIBUTES, in_forked_process=True)
        assert await gateway.client()
        assert not gateway.can_serve
        await gateway.stop()
    assert {request.get("authorization") for request in front.requests} == {f"Bearer {API_KEY}"}
    assert "default" in {request.get("temporal-namespace") for request in front.requests}


async def test_an_absent_or_silent_server_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as never_accepting:
        silent = f"127.0.0.1:{never_accepting.getsockname()[1]}"
        for address in ("127.0.0.1:1", silent):
            wanted = settings(TEMPORAL_ADDRESS=address, TEMPORAL_CONNECT_TIMEOUT_SECONDS="1")
            with pytest.raises(TemporalUnavailableError):
                await TemporalGateway(wanted, search_attributes=(), in_forked_process=True).client()


async def test_where_a_parent_used_it_already_it_is_not_used(
    temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_service_client._Began, "in_process", 1)
    with pytest.raises(GrpcForkedError):
        await connected(temporal_address)
    wanted = settings(TEMPORAL_ADDRESS=temporal_address)
    with pytest.raises(TemporalUnavailableError, match="forked"):
        await TemporalGateway(wanted, search_attributes=(), in_forked_process=True).client()

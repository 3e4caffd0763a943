"""A server that was killed comes back with its address and its data."""

from __future__ import annotations

import os
import signal
import uuid
from pathlib import Path

from pymongo import MongoClient
from temporalio.client import Client, WorkflowExecutionStatus

from local_stack.local_stack_service import LocalStackService
from local_stack.types import LocalStackParams
from tests.integration.local_stack.stacks import client_of, only_mongodb, only_temporal
from tests.support.servers import eventually, is_alive


def test_a_killed_mongod_comes_back_with_what_was_acknowledged(tmp_path: Path) -> None:
    with LocalStackService.start(only_mongodb(tmp_path)) as stack, client_of(stack) as client:
        server, address = stack.servers["mongodb"], stack.mongodb_uri
        first = server.pid
        client.rows.rows.insert_one({"_id": "acknowledged"})
        server.kill()
        assert not server.is_running
        assert not is_alive(first)
        server.restart()
        assert server.pid != first
        assert stack.mongodb_uri == address
        assert client.rows.rows.find_one() == {"_id": "acknowledged"}


async def test_a_killed_temporal_comes_back_with_its_workflows(tmp_path: Path) -> None:
    with LocalStackService.start(only_temporal(tmp_path)) as stack:
        client = await Client.connect(stack.temporal_address)
        workflow_id = uuid.uuid4().hex
        await client.start_workflow("Anything", id=workflow_id, task_queue="nobody-polls")
        stack.servers["temporal"].kill()
        stack.servers["temporal"].restart()
        again = await Client.connect(stack.temporal_address)
        description = await again.get_workflow_handle(workflow_id).describe()
        assert description.status is WorkflowExecutionStatus.RUNNING


def test_a_killed_simulator_comes_back_under_its_address(tmp_path: Path) -> None:
    params = LocalStackParams(folder=tmp_path, mongodb=False, temporal=False)
    with LocalStackService.start(params) as stack:
        before = stack.simulator
        certificate = before.ca_file.read_bytes()
        stack.servers["simulator"].kill()
        stack.servers["simulator"].restart()
        assert stack.simulator == before
        assert before.ca_file.read_bytes() == certificate


def test_a_server_killed_from_outside_is_seen_to_be_down(tmp_path: Path) -> None:
    with LocalStackService.start(only_mongodb(tmp_path)) as stack:
        server = stack.servers["mongodb"]
        os.kill(server.pid, signal.SIGKILL)
        eventually(lambda: not server.is_running)
        server.kill()
        server.stop()
        server.restart()
        assert server.is_running


def test_a_running_server_restarts_in_order(tmp_path: Path) -> None:
    with LocalStackService.start(only_mongodb(tmp_path)) as stack:
        with client_of(stack) as client:
            client.rows.rows.insert_one({"_id": 1})
        stack.servers["mongodb"].restart()
        with MongoClient[dict[str, object]](stack.mongodb_uri) as client:
            assert client.rows.rows.count_documents({}) == 1


def test_a_server_can_be_restarted_while_clients_keep_dialling_it(tmp_path: Path) -> None:
    with LocalStackService.start(only_mongodb(tmp_path)) as stack, client_of(stack) as client:
        for round_number in range(3):
            stack.servers["mongodb"].kill()
            stack.servers["mongodb"].restart()
            client.rows.rows.insert_one({"_id": round_number})
        assert client.rows.rows.count_documents({}) == 3

"""A stack can have a replica set of several servers, which elects a primary whenever it loses one."""

from __future__ import annotations

from pathlib import Path

from local_stack.local_stack_service import LocalStackService
from local_stack.types import LocalStackParams
from tests.integration.local_stack.stacks import client_of
from tests.support.mongodb_nodes import MongodbNodes

NAMES = ["mongodb", "mongodb_2", "mongodb_3"]


def three_servers(folder: Path, *, keep_data: bool = False) -> LocalStackParams:
    return LocalStackParams(
        folder=folder,
        temporal=False,
        simulator=None,
        use_configured=False,
        mongodb_nodes=3,
        mongodb_cache_gigabytes=0.25,
        keep_data=keep_data,
    )


def test_a_set_of_three_goes_on_while_its_primary_steps_down_stands_still_or_is_dead(tmp_path: Path) -> None:
    with LocalStackService.start(three_servers(tmp_path)) as stack, client_of(stack) as client:
        nodes = MongodbNodes(stack)
        assert sorted(stack.servers) == NAMES
        assert client.admin.command("hello")["setName"] == "rs0"

        client.rows.rows.insert_one({"_id": 1})
        stepped_down = nodes.step_down()
        assert nodes.wait_for_primary(other_than=stepped_down) != stepped_down
        client.rows.rows.insert_one({"_id": 2})

        paused = nodes.wait_for_primary()
        nodes.pause(paused)
        nodes.wait_for_primary(other_than=paused)
        nodes.resume(paused)
        client.rows.rows.insert_one({"_id": 3})

        killed = nodes.wait_for_primary()
        nodes.servers[killed].kill()
        nodes.wait_for_primary(other_than=killed)
        nodes.servers[killed].restart()
        client.rows.rows.insert_one({"_id": 4})
        assert client.rows.rows.count_documents({}) == 4


def test_a_set_of_three_keeps_its_data_on_other_ports(tmp_path: Path) -> None:
    with LocalStackService.start(three_servers(tmp_path, keep_data=True)) as stack:
        first = stack.mongodb_uri
        with client_of(stack) as client:
            client.rows.rows.insert_one({"_id": "kept"})
    (tmp_path / "state.json").unlink()
    with LocalStackService.start(three_servers(tmp_path, keep_data=True)) as stack:
        assert stack.mongodb_uri != first
        with client_of(stack) as client:
            assert client.rows.rows.find_one() == {"_id": "kept"}

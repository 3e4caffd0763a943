"""However the process that started a stack ends, nothing of it is left, and the next start works."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from pymongo import MongoClient

from local_stack.internals.process_identity import processes_of_run
from local_stack.local_stack_service import LocalStackService
from tests.integration.local_stack.stacks import (
    StackProcesses,
    client_of,
    only_mongodb,
    processes_in,
)
from tests.support.servers import eventually, is_alive


def test_kill_9_of_the_parent_ends_the_servers_and_the_next_start_has_their_data(
    tmp_path: Path, stack_processes: StackProcesses
) -> None:
    folder = tmp_path / "stack"
    first = stack_processes.start(folder)
    ready = first.read_until("pids")
    with MongoClient[dict[str, object]](ready["environment"]["MONGODB_URI"]) as client:
        client.rows.rows.insert_one({"_id": "kept"})
    first.process.kill()
    eventually(lambda: not any(is_alive(pid) for pid in ready["pids"].values()))
    second = stack_processes.start(folder)
    again = second.read_until("pids")
    assert again["environment"] == ready["environment"]
    with MongoClient[dict[str, object]](again["environment"]["MONGODB_URI"]) as client:
        assert client.rows.rows.find_one() == {"_id": "kept"}


def test_kill_9_of_the_parent_ends_the_simulator_and_all_it_started(
    tmp_path: Path, stack_processes: StackProcesses
) -> None:
    folder = tmp_path / "stack"
    first = stack_processes.start(folder, "no-temporal", "no-mongodb", "granian")
    ready = first.read_until("pids")
    run_id = json.loads((folder / "state.json").read_text())["run_id"]
    assert ready["pids"]["simulator"] in processes_of_run(run_id)
    first.process.kill()
    eventually(lambda: processes_of_run(run_id) == [])


def test_a_start_right_after_kill_9_does_not_wait_for_anybody(
    tmp_path: Path, stack_processes: StackProcesses
) -> None:
    folder = tmp_path / "stack"
    first = stack_processes.start(folder, "no-temporal")
    first.read_until("pids")
    first.process.kill()
    first.process.wait()
    with LocalStackService.start(only_mongodb(folder, keep_data=True)) as stack, client_of(stack) as client:
        assert client.admin.command("ping")["ok"] == 1


def test_kill_9_while_the_servers_start_leaves_none(tmp_path: Path, stack_processes: StackProcesses) -> None:
    folder = tmp_path / "stack"
    first = stack_processes.start(folder)
    eventually(lambda: any(pid != first.process.pid for pid in processes_in(folder)))
    first.process.kill()
    first.process.wait()
    eventually(lambda: processes_in(folder) == [])


def test_ctrl_c_while_the_servers_start_leaves_none(tmp_path: Path, stack_processes: StackProcesses) -> None:
    folder = tmp_path / "stack"
    first = stack_processes.start(folder)
    eventually(lambda: any(pid != first.process.pid for pid in processes_in(folder)))
    first.process.send_signal(signal.SIGINT)
    assert first.process.wait(20) == 130, first.errors()
    assert processes_in(folder) == []
    with LocalStackService.start(only_mongodb(folder)) as stack:
        assert stack.servers["mongodb"].is_running


def test_ctrl_c_stops_a_running_stack(tmp_path: Path, stack_processes: StackProcesses) -> None:
    folder = tmp_path / "stack"
    first = stack_processes.start(folder, "no-temporal")
    first.read_until("pids")
    first.process.send_signal(signal.SIGINT)
    assert first.process.wait(20) == 130, first.errors()
    assert processes_in(folder) == []


def test_a_second_start_on_the_folder_is_one_line_that_names_the_first(
    tmp_path: Path, stack_processes: StackProcesses
) -> None:
    folder = tmp_path / "stack"
    first = stack_processes.start(folder, "no-temporal")
    first.read_until("pids")
    second = stack_processes.start(folder, "no-temporal")
    refused = second.read_until("error")
    assert refused["kind"] == "StackInUseError"
    assert f"process {first.process.pid}" in refused["reason"]
    assert "\n" not in refused["reason"]
    assert second.process.wait(20) == 1
    assert second.errors() == ""
    assert first.process.poll() is None

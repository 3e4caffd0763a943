"""A stack's servers answer while it runs, and nothing of it is left when it has stopped."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import urllib.request
from pathlib import Path

import pytest

from local_stack.errors import ServerStartError, StackFolderError
from local_stack.internals.free_ports import is_free
from local_stack.local_stack_service import LocalStack, LocalStackService
from local_stack.types import LocalStackParams
from modules.application.errors import ServiceError
from tests.integration.local_stack.stacks import (
    client_of,
    only_mongodb,
    only_temporal,
    port_of,
    processes_in,
)
from tests.support.servers import is_alive


def test_all_servers_answer_and_nothing_of_them_is_left_after_stop(tmp_path: Path) -> None:
    params = LocalStackParams(folder=tmp_path / "stack", use_configured=False)
    with LocalStackService.start(params) as stack:
        pids = [server.pid for server in stack.servers.values()]
        addresses = (stack.mongodb_uri, stack.temporal_address, str(stack.ui_url), stack.simulator.endpoint)
        assert set(stack.servers) == {"mongodb", "temporal", "simulator"}
        assert all(server.is_running for server in stack.servers.values())
        with client_of(stack) as client:
            assert client.admin.command("hello")["isWritablePrimary"]
        with urllib.request.urlopen(str(stack.ui_url)) as page:
            assert b"<html" in page.read()
        assert stack.simulator.ca_file.exists()
        assert set(stack.environment()) == {
            *("MONGODB_URI", "TEMPORAL_ADDRESS", "TEMPORAL_UI_URL"),
            *("FCM_ENDPOINT", "FCM_CA_FILE", "FCM_CREDENTIALS_PATH"),
        }
    assert not any(is_alive(pid) for pid in pids)
    assert all(is_free(port_of(address)) for address in addresses)
    assert not (tmp_path / "stack" / "data").exists()
    assert (tmp_path / "stack" / "logs" / "mongodb.log").exists()
    stack.stop()


def test_the_state_names_every_process_while_it_runs_and_none_afterwards(tmp_path: Path) -> None:
    def recorded() -> set[int]:
        return {process["pid"] for process in json.loads((tmp_path / "state.json").read_text())["processes"]}

    with LocalStackService.start(only_mongodb(tmp_path)) as stack:
        server = stack.servers["mongodb"]
        assert recorded() == {server.pid}
        server.restart()
        assert recorded() == {server.pid}
    assert recorded() == set()


def test_a_part_that_was_not_asked_for_is_not_there(tmp_path: Path) -> None:
    with LocalStackService.start(only_mongodb(tmp_path)) as stack:
        assert set(stack.servers) == {"mongodb"}
        assert stack.ui_url is None
        with pytest.raises(ServiceError, match="TEMPORAL_ADDRESS"):
            _ = stack.temporal_address
        with pytest.raises(ServiceError, match="simulator"):
            _ = stack.simulator


def test_without_keep_data_a_start_finds_an_empty_database(tmp_path: Path) -> None:
    for _ in range(2):
        with LocalStackService.start(only_mongodb(tmp_path)) as stack, client_of(stack) as client:
            assert client.rows.rows.count_documents({}) == 0
            client.rows.rows.insert_one({"_id": 1})


def test_kept_data_and_address_are_there_at_the_next_start(tmp_path: Path) -> None:
    uris = []
    for expected in (0, 1):
        params = only_mongodb(tmp_path, keep_data=True)
        with LocalStackService.start(params) as stack, client_of(stack) as client:
            uris.append(stack.mongodb_uri)
            assert client.rows.rows.count_documents({}) == expected
            client.rows.rows.insert_one({"_id": expected})
    assert uris[0] == uris[1]


def test_servers_outlive_the_thread_that_started_the_stack(tmp_path: Path) -> None:
    started: list[LocalStack] = []
    thread = threading.Thread(target=lambda: started.append(LocalStackService.start(only_mongodb(tmp_path))))
    thread.start()
    thread.join()
    with started[0] as stack, client_of(stack) as client:
        assert client.admin.command("ping")["ok"] == 1
        assert stack.servers["mongodb"].is_running


def test_a_server_that_was_halted_stops_all_the_same(tmp_path: Path) -> None:
    with LocalStackService.start(only_mongodb(tmp_path)) as stack:
        pid = stack.servers["mongodb"].pid
        os.kill(pid, signal.SIGSTOP)
    assert not is_alive(pid)


def test_when_one_server_fails_the_error_names_its_log_and_no_other_is_left(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mongodb.complete").touch()
    broken = tmp_path / "data" / "mongodb" / "mongod.lock"
    broken.mkdir(parents=True)
    params = LocalStackParams(folder=tmp_path, simulator=None, keep_data=True, use_configured=False)
    with pytest.raises(ServerStartError) as failed:
        LocalStackService.start(params)
    assert failed.value.reason.startswith("mongodb ended while starting: ")
    assert str(tmp_path / "logs" / "mongodb.log") in failed.value.reason
    assert "\n" not in failed.value.reason
    assert processes_in(tmp_path) == []
    broken.rmdir()
    with LocalStackService.start(params) as stack:
        assert set(stack.servers) == {"mongodb", "temporal"}


def test_a_server_that_is_not_ready_in_time_is_ended_and_named(tmp_path: Path) -> None:
    params = LocalStackParams(
        folder=tmp_path,
        mongodb=False,
        simulator=None,
        use_configured=False,
        start_timeout_seconds=0.01,
    )
    with pytest.raises(ServerStartError, match=r"temporal was not ready in 0 s: .* \(log: "):
        LocalStackService.start(params)
    assert processes_in(tmp_path) == []


def test_data_of_another_temporal_is_refused_with_what_to_do(tmp_path: Path) -> None:
    stamp = tmp_path / "data" / "temporal.complete"
    stamp.parent.mkdir()
    stamp.write_text("Temporal Server 1.0.0")
    with pytest.raises(StackFolderError, match=r"written by Temporal Server 1\.0\.0 .*: remove ") as refused:
        LocalStackService.start(only_temporal(tmp_path, keep_data=True))
    assert "\n" not in refused.value.reason
    stamp.unlink()
    with LocalStackService.start(only_temporal(tmp_path, keep_data=True)):
        assert stamp.read_text().startswith("Temporal Server 1.")


def test_data_of_a_first_start_that_was_cut_short_is_not_kept(tmp_path: Path) -> None:
    half_made = tmp_path / "data" / "temporal" / "temporal.db"
    half_made.parent.mkdir(parents=True)
    (tmp_path / "data" / "temporal.begun").touch()
    with sqlite3.connect(half_made) as database:
        database.execute("CREATE TABLE executions (shard_id INTEGER)")
    database.close()
    for _ in range(2):
        with LocalStackService.start(only_temporal(tmp_path, keep_data=True)) as stack:
            assert stack.servers["temporal"].is_running


def test_without_the_web_ui_temporal_is_ready_as_well(tmp_path: Path) -> None:
    params = LocalStackParams(
        folder=tmp_path, mongodb=False, simulator=None, temporal_ui=False, use_configured=False
    )
    with LocalStackService.start(params) as stack:
        assert stack.ui_url is None
        assert not is_free(port_of(stack.temporal_address))

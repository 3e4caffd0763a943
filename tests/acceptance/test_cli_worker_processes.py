"""`notifications worker --processes 2`: one command, several processes, and nobody left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.acceptance.command_line import CommandLine, Started
from tests.support.servers import eventually, is_alive

NOWHERE = "127.0.0.1:1"
STOPPING = [signal.SIGTERM, signal.SIGINT]
ACCEPTED = re.compile(r'^push_attempts_total\{.*outcome="accepted".*\} (\S+)$', re.MULTILINE)
ROUNDS = 10
ROWS_A_ROUND = 3
REPLACED_WITHIN_SECONDS = 60


@contextmanager
def two_processes(notifications: CommandLine) -> Iterator[tuple[Started, list[int]]]:
    """The command once it is ready, and its processes' ids; none of them is left when the block ends."""
    with notifications.start("worker", "--processes", "2", "--json") as started:
        ready = json.loads(started.first_line())
        pids = ready["processes"]
        assert (ready["ready"], ready["pid"], len(pids)) == (True, started.pid, 2)
        assert children_of(started.pid) == set(pids)
        yield started, pids
    eventually(lambda: not any(map(is_alive, pids)))


def children_of(pid: int) -> set[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child) for child in children if is_alive(int(child))}


def logged(errors: str, action: str) -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
    return [entry for entry in entries if entry["action"] == action]


def accepted_by(port: int) -> float:
    """How many attempts were accepted in the process that serves its metrics on this port."""
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode()
    return sum(float(count) for count in ACCEPTED.findall(lines))


def accepted_in_all(port: int, count: int) -> bool:
    return accepted_by(port) + accepted_by(port + 1) >= count


def two_free_ports() -> int:
    """The first of two loopback ports beside each other that nobody listens on."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first:
            port = int(first.getsockname()[1])
            try:
                socket.create_server(("127.0.0.1", port + 1)).close()
            except (OSError, OverflowError):
                continue
            return port


def test_both_processes_deliver_and_serve_metrics_of_their_own(notifications: CommandLine) -> None:
    account, port = f"account-{uuid.uuid4().hex[:8]}", two_free_ports()
    token = ("--token", f"token-{account}")
    notifications.json("device", "add", "--account", account, "--platform", "android", *token)
    with two_processes(notifications.using(METRICS_PORT=str(port))):
        for round_number in range(1, ROUNDS + 1):
            for _ in range(ROWS_A_ROUND):
                notifications.json("send", "--account", account, "--title", "t", "--body", "b")
            notifications.json("scan")
            eventually(partial(accepted_in_all, port, round_number * ROWS_A_ROUND), within_seconds=60)
            if accepted_by(port) and accepted_by(port + 1):
                return
    pytest.fail("one of two processes delivered everything")


@pytest.mark.parametrize("number", STOPPING)
def test_one_signal_has_all_of_them_finish(notifications: CommandLine, number: signal.Signals) -> None:
    with two_processes(notifications) as (started, pids):
        started.signal(number)
        ended = started.ended()
        assert (ended.code, ended.output) == (0, "")
        assert "Traceback" not in ended.errors
        assert not any(map(is_alive, pids))


def test_the_terminals_ctrl_c_reaches_the_supervisor_alone(notifications: CommandLine) -> None:
    with two_processes(notifications) as (started, pids):
        sessions = {os.getsid(pid) for pid in (started.pid, *pids)}
        assert sessions == {os.getsid(0), *pids}
        started.signal(signal.SIGTERM)
        assert started.ended().code == 0


def test_a_second_signal_ends_all_of_them_at_once(notifications: CommandLine) -> None:
    with two_processes(notifications) as (started, pids):
        # What stands still finishes nothing: the first signal alone would wait for the grace period.
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        started.signal(signal.SIGTERM)
        started.signal(signal.SIGINT)
        assert started.ended().code in (128 + signal.SIGTERM, 128 + signal.SIGINT)


def test_kill_nine_of_the_supervisor_leaves_nobody(notifications: CommandLine) -> None:
    with two_processes(notifications) as (started, pids):
        # Not even one that stands still.
        os.kill(pids[0], signal.SIGSTOP)
        started.signal(signal.SIGKILL)
        assert started.ended().code == -signal.SIGKILL
        eventually(lambda: not any(map(is_alive, pids)))


def test_a_killed_process_is_replaced(notifications: CommandLine) -> None:
    with two_processes(notifications) as (started, pids):
        os.kill(pids[0], signal.SIGKILL)
        eventually(lambda: bool(children_of(started.pid) - set(pids)), within_seconds=REPLACED_WITHIN_SECONDS)
        assert pids[1] in children_of(started.pid)
        started.signal(signal.SIGTERM)
        ended = started.ended()
    assert ended.code == 0
    [entry] = logged(ended.errors, "worker.process_ended")
    assert (entry["pid"], entry["exit_code"], entry["again_in_seconds"]) == (pids[0], -signal.SIGKILL, 1)


def test_a_process_above_the_memory_bound_is_replaced(notifications: CommandLine) -> None:
    # A worker that has loaded the SDK, the driver and Firebase is above the least bound there is.
    small = notifications.using(WORKER_MAX_MEMORY_MIB="128", LOG_LEVEL="INFO")
    with two_processes(small) as (started, pids):
        eventually(lambda: bool(children_of(started.pid) - set(pids)), within_seconds=REPLACED_WITHIN_SECONDS)
        started.signal(signal.SIGTERM)
        ended = started.ended()
    assert ended.code == 0
    over = logged(ended.errors, "worker.over_memory")[0]
    assert over["pid"] in pids
    assert over["rss_mib"] > over["max_memory_mib"] == 128
    assert {entry["pid"] for entry in logged(ended.errors, "worker.memory")} >= set(pids)
    assert logged(ended.errors, "worker.process_ended") == []


@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_what_keeps_a_process_from_starting_is_told_once(notifications: CommandLine, flag: list[str]) -> None:
    ended = notifications.using(TEMPORAL_ADDRESS=NOWHERE).run("worker", "--processes", "2", *flag)
    assert ended.code == 3
    if flag:
        assert (ended.error["code"], ended.errors) == ("temporal_unavailable", "")
    else:
        assert ended.output == ""
        assert len(ended.errors.splitlines()) == 1
        assert "(temporal_unavailable)" in ended.errors


def test_a_metrics_port_that_is_taken_is_refused(notifications: CommandLine) -> None:
    port = two_free_ports()
    with socket.create_server(("127.0.0.1", port + 1)):
        ended = notifications.using(METRICS_PORT=str(port)).run("worker", "--processes", "2", "--json")
    assert (ended.code, ended.error["code"]) == (78, "metrics_port_unusable")
    assert str(port + 1) in ended.error["reason"]

"""`make up`: everything starts, the environment file leads to it, and nothing is left behind."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.command_line import CommandLine, Started
from tests.support.servers import eventually, session_folder


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Path:
    """A folder that no other stack uses; processes of this stack name it."""
    path = session_folder() / f"up-{request.node.name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def start_up(folder: Path) -> Started:
    return CommandLine({}, program="local_stack").start("--folder", str(folder), "--json")


def read_environment(path: Path) -> dict[str, str]:
    words = [shlex.split(line) for line in path.read_text().splitlines()]
    assert all(word[0] == "export" for word in words)
    return dict(word[1].split("=", 1) for word in words)


def processes_of(folder: Path) -> Iterator[int]:
    """Living processes that work in the folder or name it."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command, environ = entry.joinpath("cmdline").read_bytes(), entry.joinpath("environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in command + environ:
            yield int(entry.name)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_of_it(folder: Path, number: signal.Signals) -> None:
    with start_up(folder) as started:
        ready = json.loads(started.first_line())
        environment = read_environment(Path(ready["environment_file"]))
        assert ready["environment"].items() <= environment.items()
        assert environment["MONGODB_URI"] == ready["addresses"]["mongodb"]
        if number == signal.SIGINT:
            sourced = f"source {shlex.quote(ready['environment_file'])} && notifications doctor --json"
            doctor = subprocess.run(["bash", "-c", sourced], capture_output=True, timeout=60, check=True)
            assert json.loads(doctor.stdout)["ok"]
        started.signal(number)
        ended = started.ended()
    assert ended.code == 0
    assert "Traceback" not in ended.errors
    assert not Path(ready["environment_file"]).exists()
    assert list(processes_of(folder)) == []


def test_kill_nine_leaves_nothing_and_the_next_start_has_the_data(folder: Path) -> None:
    with start_up(folder) as started:
        environment = json.loads(started.first_line())["environment"]
        arguments = ("device", "add", "--account", "a", "--platform", "ios", "--token", "kept")
        device = CommandLine(environment).json(*arguments)
        started.signal(signal.SIGKILL)
        assert started.ended().code == -signal.SIGKILL
    eventually(lambda: not list(processes_of(folder)))
    with start_up(folder) as again:
        environment = json.loads(again.first_line())["environment"]
        listed = CommandLine(environment).json("device", "list", "--account", "a")["devices"]
        assert [each["id"] for each in listed] == [device["id"]]
        again.signal(signal.SIGTERM)
        assert again.ended().code == 0


def test_a_server_that_ends_ends_all_of_it(folder: Path) -> None:
    with start_up(folder) as started:
        assert json.loads(started.first_line())["ready"]
        for pid in processes_of(folder):
            if b"mongod" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]:
                os.kill(pid, signal.SIGKILL)
        ended = started.ended()
    assert ended.code == 3
    assert json.loads(ended.output)["error"]["code"] == "local_server_ended"
    assert list(processes_of(folder)) == []


def test_a_folder_in_use_is_refused(folder: Path) -> None:
    with start_up(folder) as started:
        assert json.loads(started.first_line())["ready"]
        second = CommandLine({}, program="local_stack").run("--folder", str(folder), "--json")
        assert (second.code, second.error["code"]) == (1, "local_stack_in_use")
        started.signal(signal.SIGTERM)
        assert started.ended().code == 0

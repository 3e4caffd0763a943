"""Nobody else's process is ever ended: a number alone is no identity."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local_stack.internals import process_identity
from local_stack.internals.process_identity import (
    RUN_ID_VARIABLE,
    end_process,
    from_ps,
    identify,
    processes_of_run,
)
from local_stack.internals.stack_folder import StackFolder
from tests.support.servers import eventually, is_alive

SLEEP = "sleep"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([SLEEP, "1000"], env={**os.environ, RUN_ID_VARIABLE: "run-of-the-sleeper"})
    # For a moment after the fork the new process has no command line yet.
    eventually(lambda: identify(process.pid, SLEEP) is not None)
    yield process
    process.kill()
    process.wait()


def test_a_process_is_itself_until_it_is_gone(sleeper: subprocess.Popen[bytes]) -> None:
    known = identify(sleeper.pid, SLEEP)
    assert known is not None
    assert identify(sleeper.pid, SLEEP) == known
    sleeper.kill()
    sleeper.wait()
    assert identify(sleeper.pid, SLEEP) is None


def test_a_zombie_is_gone(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    eventually(lambda: not is_alive(sleeper.pid))
    assert identify(sleeper.pid, SLEEP) is None


def test_another_program_under_the_number_is_not_it(sleeper: subprocess.Popen[bytes]) -> None:
    assert identify(sleeper.pid, "mongod") is None


def test_a_process_with_another_start_time_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    known = identify(sleeper.pid, SLEEP)
    assert known is not None
    end_process(replace(known, started="another boot/1"))
    assert sleeper.poll() is None
    end_process(known)
    assert sleeper.wait(10) == -9


def test_the_processes_of_a_run_are_found_by_what_they_inherited(sleeper: subprocess.Popen[bytes]) -> None:
    assert processes_of_run("run-of-the-sleeper") == [sleeper.pid]
    assert processes_of_run("run-of-nobody") == []


def test_the_same_laws_hold_where_there_is_only_ps(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = subprocess.Popen([SLEEP, "1001"])
    monkeypatch.setattr(process_identity, "PROC", tmp_path)
    known = identify(sleeper.pid, SLEEP)
    assert known is not None
    assert identify(sleeper.pid, SLEEP) == known
    assert identify(sleeper.pid, "mongod") is None
    assert processes_of_run("run-of-the-sleeper") == []
    other.kill()
    assert from_ps(other.pid) is None
    other.wait()
    assert from_ps(other.pid) is None
    end_process(known)
    assert sleeper.wait(10) == -9


def _by_record(folder: StackFolder, process: subprocess.Popen[bytes]) -> None:
    known = identify(process.pid, SLEEP)
    assert known is not None
    folder.state.processes = [known]


def _by_mark(folder: StackFolder, process: subprocess.Popen[bytes]) -> None:
    folder.state.run_id = "run-of-the-sleeper"


@pytest.mark.parametrize("leave_behind", [_by_record, _by_mark])
def test_opening_a_folder_ends_what_an_earlier_run_left(
    sleeper: subprocess.Popen[bytes],
    tmp_path: Path,
    leave_behind: Callable[[StackFolder, subprocess.Popen[bytes]], None],
) -> None:
    folder = StackFolder(tmp_path)
    folder.open()
    leave_behind(folder, sleeper)
    folder.save()
    folder.close()
    next_run = StackFolder(tmp_path)
    next_run.open()
    assert sleeper.wait(10) == -9
    next_run.close()


def test_opening_a_folder_leaves_a_stranger_with_a_recorded_number_alone(
    sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    folder = StackFolder(tmp_path)
    folder.open()
    known = identify(sleeper.pid, SLEEP)
    assert known is not None
    folder.state.processes = [replace(known, started="an earlier boot/1")]
    folder.save()
    folder.close()
    next_run = StackFolder(tmp_path)
    next_run.open()
    assert sleeper.poll() is None
    next_run.close()

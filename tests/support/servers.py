"""Real servers for the tests: started once a session, or for one test that breaks them."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from local_stack.local_stack_service import LocalStack, LocalStackService
from local_stack.types import LocalStackParams

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / ".local"
FOLDER_PREFIX = "test-"


def session_folder() -> Path:
    """Where this test process keeps everything its servers write."""
    return LOCAL / f"{FOLDER_PREFIX}{os.getpid()}"


def start_stack(name: str, params: LocalStackParams | None = None) -> LocalStack:
    """A stack in this process's folder; `params` may ask for anything but the folder."""
    folder = session_folder() / name
    wanted = replace(params, folder=folder) if params else LocalStackParams(folder=folder)
    return LocalStackService.start(wanted)


def remove_stale_folders() -> None:
    """Remove what test processes that are gone left behind, logs of failed tests included."""
    for folder in LOCAL.glob(f"{FOLDER_PREFIX}*"):
        pid = folder.name.removeprefix(FOLDER_PREFIX)
        if pid.isdigit() and not is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def is_alive(pid: int) -> bool:
    """True while the process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def eventually(condition: Callable[[], bool], *, within_seconds: float = 20.0) -> None:
    """Return as soon as the condition holds; an AssertionError when it does not in time."""
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so within {within_seconds} s"
        time.sleep(0.01)

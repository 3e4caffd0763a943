"""The demo as a newcomer runs it: a process, its last line, its exit code, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import ROOT, session_folder

SECONDS = 100
IGNORED = (
    "KEEP",
    "FCM_CREDENTIALS_PATH",
    "DEMO_DEVICE_TOKEN",
    "MONGODB_URI",
    "TEMPORAL_ADDRESS",
    "LOG_LEVEL",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose name nothing else on this machine has: processes of the demo name it."""
    return session_folder() / f"demo-{os.getpid()}-{tmp_path.name}"


def start_demo(folder: Path, **variables: str) -> subprocess.Popen[str]:
    environment = {name: text for name, text in os.environ.items() if name not in IGNORED}
    return subprocess.Popen(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env={**environment, "PYTHONUNBUFFERED": "1", "DEMO_FOLDER": str(folder), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(demo: subprocess.Popen[str]) -> tuple[int, dict[str, Any], str]:
    """Exit code, the last line's object, standard error."""
    output, errors = demo.communicate(timeout=SECONDS)
    return demo.returncode, json.loads(output.splitlines()[-1]), errors


def read_until(demo: subprocess.Popen[str], text: str) -> None:
    assert demo.stdout is not None
    assert any(text in line for line in demo.stdout), f"the demo ended without {text!r}"


def processes_naming(folder: Path) -> Iterator[str]:
    """Command lines of running processes that name the folder, or got it in their environment."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            known = command + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in known:
            yield command.replace(b"\0", b" ").decode(errors="replace")


def test_the_demo_sends_three_notifications_and_leaves_nothing_running(folder: Path) -> None:
    for _ in range(2):
        code, summary, errors = finish(start_demo(folder))

        assert (code, errors) == (0, "")
        assert summary["demo"] == "ok"
        assert (summary["sent"], summary["failed"]) == (3, 0)
        assert summary["accepted"] == summary["audited"] == 3 * summary["devices"]
        assert list(processes_naming(folder)) == []


@pytest.mark.parametrize(
    "moment",
    ["Loading", "Starting MongoDB", "is ready on port", "Starting a worker process", "Triggering"],
)
def test_ctrl_c_at_any_time_stops_everything(folder: Path, moment: str) -> None:
    demo = start_demo(folder)
    read_until(demo, moment)
    demo.send_signal(signal.SIGINT)

    code, summary, errors = finish(demo)

    assert (code, errors, summary) == (130, "", {"demo": "interrupted"})
    assert list(processes_naming(folder)) == []


def test_keep_stays_up_until_ctrl_c(folder: Path) -> None:
    demo = start_demo(folder, KEEP="1")
    read_until(demo, "Everything stays up until Ctrl-C")
    read_until(demo, '"demo":"ok"')
    assert len(list(processes_naming(folder))) >= 4  # the demo, its worker, and at least two servers
    demo.send_signal(signal.SIGINT)

    code, summary, errors = finish(demo)

    assert (code, errors, summary["demo"]) == (130, "", "ok")
    assert list(processes_naming(folder)) == []


def test_real_credentials_without_a_device_are_one_line(folder: Path) -> None:
    code, summary, errors = finish(start_demo(folder, FCM_CREDENTIALS_PATH="service-account.json"))

    assert (code, summary["demo"]) == (1, "failed")
    assert errors.count("\n") == 1
    assert "DEMO_DEVICE_TOKEN" in errors
    assert list(processes_naming(folder)) == []


def test_a_second_demo_in_the_same_folder_says_so_in_one_line(folder: Path) -> None:
    first = start_demo(folder, KEEP="1")
    read_until(first, "Starting a worker process")

    code, summary, errors = finish(start_demo(folder))
    first.send_signal(signal.SIGINT)
    finish(first)

    assert (code, summary["error"]) == (1, "local_stack_in_use")
    assert errors.count("\n") == 1

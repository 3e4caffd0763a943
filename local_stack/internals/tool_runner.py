"""Runs a tool that takes its time: it dies with us, writes to a log, and its progress is told."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from local_stack.internals.process_spawner import SpawnRequest, spawn
from local_stack.internals.server_log import quote_reason

TELL_EVERY_SECONDS = 5.0


def run_tool(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    timeout_seconds: float,
    tell: Callable[[float, Path], None],
) -> str | None:
    """None when the tool succeeded, else why not. `tell` gets the seconds passed and the log, repeatedly."""
    log_path = folder / "tool.log"
    started = time.monotonic()
    with log_path.open("wb") as log:
        process = spawn(
            SpawnRequest(
                command=command, environment=environment, working_folder=folder, stdout=log, stderr=log
            )
        )
    try:
        while True:
            try:
                status = process.wait(TELL_EVERY_SECONDS)
                return None if status == 0 else quote_reason(log_path)
            except subprocess.TimeoutExpired:
                elapsed = time.monotonic() - started
                if elapsed > timeout_seconds:
                    return f"not done after {timeout_seconds:.0f} s"
                tell(elapsed, log_path)
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

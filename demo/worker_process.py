"""Holds the demo's worker process: starts it, knows when it serves, ends it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from demo.serve import READY
from modules.application.errors import UnavailableError

ROOT = Path(__file__).resolve().parents[1]
STOP_TIMEOUT_SECONDS = 40.0


class WorkerProcess:
    """A worker in a session of its own, so that Ctrl-C reaches the demo alone; it ends with its starter."""

    def __init__(self, environment: Mapping[str, str], log_path: Path) -> None:
        self._log_path = log_path
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "demo.serve"],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_ready(self) -> None:
        """Return when every task queue is served; raises UnavailableError when the process ended instead."""
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != READY.encode():
            raise UnavailableError(
                code="worker_failed", reason=f"the worker did not start (log: {self._log_path})"
            )

    def stop(self) -> None:
        """Let what runs finish, and return when the process is gone; the second time nothing happens."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

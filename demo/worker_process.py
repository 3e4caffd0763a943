"""Holds a worker process of the demo or a benchmark: starts it, knows when it serves, ends it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.serve import READY
from modules.application.errors import UnavailableError

ROOT = Path(__file__).resolve().parents[1]
STOP_TIMEOUT_SECONDS = 40.0


class WorkerProcess:
    """A worker in a session of its own, so that Ctrl-C reaches its starter alone; it ends with that.

    `module` is run with -m and calls `demo.serve.serve`.
    """

    def __init__(self, log_path: Path, *, module: str = "demo.serve") -> None:
        self._module = module
        self._log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it with this process's environment; for the main thread."""
        with self._log_path.open("wb") as log, _ctrl_c_held_back():
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", self._module],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def wait_ready(self) -> None:
        """Return when every task queue is served; raises UnavailableError when the process ended instead."""
        assert self._process is not None
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != READY.encode():
            raise UnavailableError(
                code="worker_failed", reason=f"the worker did not start (log: {self._log_path})"
            )

    def stop(self) -> None:
        """Let what runs finish, and return when the process is gone; nothing happens when it does not run."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Deliver the signal afterwards: inside Popen it would leave a process nobody knows of."""
    held: list[int] = []
    former = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
    if held:
        signal.raise_signal(signal.SIGINT)

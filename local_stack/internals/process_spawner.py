"""Starts child processes that die with this process, from one thread that lives as long as it does."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LAUNCHER = Path(__file__).with_name("die_with_parent.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpawnRequest:
    """A command with an absolute program, its environment and where its output goes."""

    command: Sequence[str]
    environment: Mapping[str, str]
    working_folder: Path
    stdout: IO[bytes]
    stderr: IO[bytes]


class _SpawnerThread:
    # PR_SET_PDEATHSIG fires when the *thread* that forked ends, not the process (prctl(2)): a server started
    # from a pool's thread would die with that thread. A daemon thread ends with the process only.
    def __init__(self) -> None:
        self._requests: queue.SimpleQueue[tuple[SpawnRequest, Future[subprocess.Popen[bytes]]]]
        self._requests = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="process-spawner", daemon=True).start()

    def spawn(self, request: SpawnRequest) -> subprocess.Popen[bytes]:
        answer: Future[subprocess.Popen[bytes]] = Future()
        self._requests.put((request, answer))
        return answer.result()

    def _serve(self) -> None:
        while True:
            request, answer = self._requests.get()
            try:
                answer.set_result(_popen(request))
            except Exception as error:  # noqa: BLE001  handed to the caller's thread
                answer.set_exception(error)


def _popen(request: SpawnRequest) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C in the terminal reaches us alone, and we stop the servers in order.
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), *request.command],
        env=dict(request.environment),
        cwd=request.working_folder,
        stdin=subprocess.DEVNULL,
        stdout=request.stdout,
        stderr=request.stderr,
        start_new_session=True,
    )


_spawner: _SpawnerThread | None = None
_spawner_lock = threading.Lock()


def spawn(request: SpawnRequest) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own; it is killed when this process ends, however it ends."""
    global _spawner  # noqa: PLW0603
    with _spawner_lock:
        if _spawner is None:
            _spawner = _SpawnerThread()
    return _spawner.spawn(request)


def _forget_after_fork() -> None:
    global _spawner, _spawner_lock
    _spawner, _spawner_lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)

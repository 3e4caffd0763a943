"""One server as a child process: starts it, knows when it is ready, ends it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from local_stack.errors import ServerStartError, StackFolderError
from local_stack.internals.process_identity import ProcessIdentity, identify
from local_stack.internals.process_spawner import SpawnRequest, spawn
from local_stack.internals.server_log import quote_reason
from local_stack.internals.waiting import wait_until
from modules.application.errors import ServiceError

KILL_TIMEOUT_SECONDS = 10.0
IDENTITY_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerDefinition:
    """How to run one server. `is_ready` is asked with the server's process id until it says True.

    `output_path` keeps stdout apart from the log, for a server that reports on it.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    working_folder: Path
    log_path: Path
    is_ready: Callable[[int], bool]
    start_timeout_seconds: float
    stop_timeout_seconds: float
    output_path: Path | None = None


class ServerProcess:
    """The running server of one definition; the same command, port and data in each of its lives."""

    def __init__(self, definition: ServerDefinition, on_spawned: Callable[[], None]) -> None:
        self._definition = definition
        self._on_spawned = on_spawned
        self._process: subprocess.Popen[bytes] | None = None
        self._identity: ProcessIdentity | None = None

    @property
    def name(self) -> str:
        return self._definition.name

    @property
    def log_path(self) -> Path:
        return self._definition.log_path

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServiceError(code="server_not_started", reason=f"{self.name} was never started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def identity(self) -> ProcessIdentity | None:
        """Who the running server is, for the next start to recognise; None when it does not run."""
        return self._identity if self.is_running else None

    def start(self, cancelled: Event | None = None) -> None:
        """Start and wait until ready; raises ServerStartError and leaves no process when it does not work."""
        try:
            self._spawn()
            self._wait_until_ready(cancelled)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL the server's session and wait until it is gone; nothing happens when it does not run."""
        if self._process is None or not self.is_running:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(KILL_TIMEOUT_SECONDS)

    def stop(self) -> None:
        """SIGTERM and wait, SIGKILL after the definition's bound; nothing happens when it does not run."""
        if self._process is None or not self.is_running:
            return
        self._process.terminate()
        # A stopped process (SIGSTOP, as the fault tests use it) takes no SIGTERM before it goes on.
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(self._definition.stop_timeout_seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    def _spawn(self) -> None:
        definition = self._definition
        with ExitStack() as files:
            try:
                log = files.enter_context(definition.log_path.open("ab"))
                output = log
                if definition.output_path is not None:
                    output = files.enter_context(definition.output_path.open("wb"))
            except OSError as error:
                raise StackFolderError(
                    f"cannot write {definition.log_path}: {error.strerror}; use another folder or make room"
                ) from error
            self._process = spawn(
                SpawnRequest(
                    command=definition.command,
                    environment=definition.environment,
                    working_folder=definition.working_folder,
                    stdout=output,
                    stderr=log,
                )
            )
        self._identity = self._identify()
        self._on_spawned()

    def _identify(self) -> ProcessIdentity | None:
        program = self._definition.command[0]
        # For a moment after the fork the new process has no command line yet.
        wait_until(
            lambda: identify(self.pid, program) is not None or not self.is_running,
            timeout_seconds=IDENTITY_TIMEOUT_SECONDS,
        )
        return identify(self.pid, program)

    def _wait_until_ready(self, cancelled: Event | None) -> None:
        limit = self._definition.start_timeout_seconds
        ready = wait_until(
            lambda: not self.is_running or self._definition.is_ready(self.pid),
            timeout_seconds=limit,
            cancelled=cancelled,
        )
        if not ready:
            raise self._start_error(f"was not ready in {limit:.0f} s")
        if not self.is_running:
            raise self._start_error("ended while starting")

    def _start_error(self, what: str) -> ServerStartError:
        definition = self._definition
        return ServerStartError(
            f"{definition.name} {what}: {quote_reason(definition.log_path)} (log: {definition.log_path})"
        )

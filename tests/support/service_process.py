"""Real processes of the service for the fault tests: started, signalled and killed by the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from local_stack.internals.process_spawner import SpawnRequest, spawn
from tests.support.servers import ROOT

EXIT_TIMEOUT_SECONDS = 40.0


class ServiceProcess:
    """One process, its output in `log`. It is killed when the test's own process ends, however it ends."""

    def __init__(
        self, module: str, *arguments: str, environment: Mapping[str, str], log: Path, folder: Path = ROOT
    ) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._process: subprocess.Popen[bytes] = spawn(
                SpawnRequest(
                    command=[sys.executable, "-m", module, *arguments],
                    environment=environment,
                    working_folder=folder,
                    stdout=output,
                    stderr=output,
                )
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        if self.is_running:
            os.kill(self.pid, signal.SIGKILL)
        self._process.wait(EXIT_TIMEOUT_SECONDS)

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM; returns at once."""
        os.kill(self.pid, signal.SIGTERM)

    def exit_code(self) -> int:
        """Wait for the end."""
        return self._process.wait(EXIT_TIMEOUT_SECONDS)

"""One of several worker processes, as its supervisor sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from modules.application.errors import Problem

COMMAND = ("-m", "modules.cli.supervised_worker", "worker", "--processes", "1", "--json")
_READ_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildEnding:
    """How a child ended: its exit code (a signal's number below 0), and the problems it told, if any."""

    exit_code: int
    problems: tuple[Problem, ...] = ()


class Child(Protocol):
    """What the supervisor needs of a worker process; `ending` is None while it runs."""

    @property
    def pid(self) -> int: ...

    def is_ready(self) -> bool: ...

    def ending(self) -> ChildEnding | None: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...

    def wait(self, seconds: float) -> ChildEnding | None: ...


class WorkerChild:
    """A worker process in a session of its own: the terminal's Ctrl-C reaches its supervisor alone.

    What it prints is read here; its log goes where the supervisor's goes. It ends with the supervisor.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, *COMMAND],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout
        os.set_blocking(self._output.fileno(), False)
        self._unfinished = b""
        self._documents: list[dict[str, Any]] = []

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_ready(self) -> bool:
        """True from the moment it serves."""
        self._read()
        return any(document.get("ready") for document in self._documents)

    def ending(self) -> ChildEnding | None:
        exit_code = self._process.poll()
        self._read()
        if exit_code is None:
            return None
        errors = [document["error"] for document in self._documents if "error" in document]
        problems = tuple(Problem(**problem) for error in errors for problem in error["problems"])
        self._close()
        return ChildEnding(exit_code=exit_code, problems=problems)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    def wait(self, seconds: float) -> ChildEnding | None:
        """How it ended; None when it still runs after `seconds`."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self.ending()

    def _read(self) -> None:
        """Take what was printed, so that the pipe never fills; what is no document of ours is let go."""
        if self._output.closed:
            return
        with suppress(BlockingIOError):
            while chunk := os.read(self._output.fileno(), _READ_BYTES):
                self._unfinished += chunk
        *lines, self._unfinished = self._unfinished.split(b"\n")
        for line in lines:
            with suppress(ValueError):
                document = json.loads(line)
                if isinstance(document, dict):
                    self._documents.append(document)

    def _close(self) -> None:
        for stream in (self._process.stdin, self._output):
            if stream is not None:
                stream.close()

"""The `notifications` command as processes: run to the end, or started, signalled and waited for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from pymongo import MongoClient

from local_stack.local_stack_service import LocalStack
from tests.support.servers import ROOT

COMMAND_SECONDS = 60
_NOT_INHERITED = ("MONGODB_", "TEMPORAL_", "FCM_", "APP_ENV", "LOG_", "METRICS_")


@dataclass(frozen=True)
class Ended:
    """What a command left: its exit code and what it printed."""

    code: int
    output: str
    errors: str

    @property
    def document(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.output)

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.document["error"]
        return error


class Started:
    """A command that goes on; `ended` waits for it. Killed when the test leaves the block."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def first_line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def close_output(self) -> None:
        assert self._process.stdout is not None
        self._process.stdout.close()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self) -> Ended:
        output, errors = self._process.communicate(timeout=COMMAND_SECONDS)
        return Ended(self._process.returncode, output, errors)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


class CommandLine:
    """Runs `notifications` with these variables and none of the caller's that name servers.

    `program` is what `python -m` takes, for another command.
    """

    def __init__(self, environment: Mapping[str, str], *, program: str = "modules.cli.main") -> None:
        self._program = program
        kept = {name: text for name, text in os.environ.items() if not name.startswith(_NOT_INHERITED)}
        self._environment = {**kept, "APP_ENV": "test", **environment}

    def using(self, **variables: str) -> CommandLine:
        """The same with further variables."""
        return CommandLine({**self._environment, **variables}, program=self._program)

    def start(self, *arguments: str) -> Started:
        return Started(
            subprocess.Popen(
                [sys.executable, "-m", self._program, *arguments],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )

    def run(self, *arguments: str, stdin: str = "") -> Ended:
        done = subprocess.run(
            [sys.executable, "-m", self._program, *arguments],
            cwd=ROOT,
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def json(self, *arguments: str, stdin: str = "") -> Any:
        """The document of a command that has to succeed."""
        ended = self.run(*arguments, "--json", stdin=stdin)
        assert (ended.code, ended.errors) == (0, ""), (ended.code, ended.output, ended.errors)
        return ended.document


@contextmanager
def bootstrapped(stack: LocalStack, **over: str) -> Iterator[CommandLine]:
    """The command with a bootstrapped database and task queues of its own; `over` are more variables."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    own = {"MONGODB_DATABASE": name, "TEMPORAL_TASK_QUEUE_PREFIX": name}
    command = CommandLine({**stack.environment(), **own, **over})
    assert command.json("bootstrap")["bootstrap"] == "ok"
    yield command
    with MongoClient[dict[str, object]](stack.mongodb_uri) as client:
        client.drop_database(name)

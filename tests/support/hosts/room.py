"""A database and task queues of a test's own, and programs that run there and are timed to their end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from pymongo import MongoClient

from local_stack.local_stack_service import LocalStack
from simulator.client import SimulatorControl
from tests.support.push_rows import Document
from tests.support.servers import ROOT

PROGRAM_SECONDS = 100.0
_NOT_INHERITED = ("MONGODB_", "TEMPORAL_", "FCM_", "APP_ENV", "LOG_", "METRICS_", "PYTHON")


@dataclass(frozen=True)
class EndedProgram:
    """A program's end: its exit code (a signal's number below 0), what it said, and its standard error."""

    code: int
    said: list[dict[str, Any]]
    errors: str
    ended_at: float

    @property
    def last_seconds(self) -> float:
        """How long it took to end after it had said its last line."""
        return self.ended_at - float(self.said[-1]["at"])


@dataclass
class HostRoom:
    stack: LocalStack
    database: str
    folder: Path
    mark: str = field(default_factory=lambda: uuid4().hex[:12])

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith(_NOT_INHERITED)}
        return {
            **kept,
            **self.stack.environment(),
            "APP_ENV": "test",
            "MONGODB_DATABASE": self.database,
            "TEMPORAL_TASK_QUEUE_PREFIX": f"test-{self.mark}",
            "HOST_DEVICE_ADDRESS": f"{self.mark}-device",
            "PYTHONPATH": str(ROOT),
        }

    def run(self, program: str, **variables: str) -> EndedProgram:
        """Run a program's text to its end, with these variables beside the room's."""
        file = self.folder / f"program_{uuid4().hex[:6]}.py"
        file.write_text(program)
        return self.run_command([sys.executable, str(file)], **variables)

    def run_command(self, command: Sequence[str], stdin: str = "", **variables: str) -> EndedProgram:
        with (self.folder / "errors").open("w+") as errors:
            # Not communicate: a process that a program leaves behind may hold the pipe.
            done = subprocess.run(
                command,
                cwd=self.folder,
                env={**self.environment, **variables},
                input=stdin,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                timeout=PROGRAM_SECONDS,
                check=False,
            )
            ended_at = time.time()
            errors.seek(0)
            text = errors.read()
        said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return EndedProgram(done.returncode, said, text, ended_at)

    def status(self, notification_id: str) -> str:
        with MongoClient[Document](self.stack.mongodb_uri) as client:
            rows = client[self.database]["push_notifications"].find()
            return next(str(row["status"]) for row in rows if str(row["_id"]) == notification_id)

    def accepted(self) -> int:
        """How many messages the provider took for this room's device."""
        control = SimulatorControl(self.stack.simulator.endpoint, self.stack.simulator.ca_file)
        return sum(entry["target"].startswith(self.mark) for entry in control.audit(0))

"""Stacks for these tests: in this process, or in one that a test kills or interrupts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from local_stack.local_stack_service import LocalStack
from local_stack.types import LocalStackParams, StackPorts
from tests.support.servers import ROOT


def only_mongodb(
    folder: Path, *, keep_data: bool = False, use_configured: bool = False, ports: StackPorts | None = None
) -> LocalStackParams:
    return LocalStackParams(
        folder=folder,
        temporal=False,
        simulator=None,
        keep_data=keep_data,
        use_configured=use_configured,
        ports=ports or StackPorts(),
    )


def only_temporal(folder: Path, *, keep_data: bool = False) -> LocalStackParams:
    return LocalStackParams(
        folder=folder, mongodb=False, simulator=None, keep_data=keep_data, use_configured=False
    )


def client_of(stack: LocalStack) -> MongoClient[dict[str, object]]:
    return MongoClient(stack.mongodb_uri, serverSelectionTimeoutMS=10_000)


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2].partition("/")[0])


def processes_in(folder: Path) -> list[int]:
    """Every process whose command names the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text()
        except OSError:
            continue
        if str(folder) in command and int(process.name) != os.getpid():
            found.append(int(process.name))
    return found


class StackProcess:
    """The process of stack_process.py, and the JSON lines it prints."""

    def __init__(self, folder: Path, options: tuple[str, ...], environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.local_stack.stack_process", str(folder), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **environment},
        )

    def read_until(self, key: str) -> dict[str, Any]:
        """The next line that has this key."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message: dict[str, Any] = json.loads(line)
            if key in message:
                return message
        raise AssertionError(f"ended without {key!r}: {self.errors()}")

    def errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()


class StackProcesses:
    def __init__(self) -> None:
        self._started: list[StackProcess] = []

    def start(
        self, folder: Path, *options: str, environment: Mapping[str, str] | None = None
    ) -> StackProcess:
        started = StackProcess(folder, options, environment or {})
        self._started.append(started)
        return started

    def end_all(self) -> None:
        for started in self._started:
            started.process.kill()
            started.process.communicate()

"""A room for programs that use the service as a library."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_stack.local_stack_service import LocalStack
from tests.support.hosts.room import HostRoom
from tests.support.servers import eventually
from tests.support.service_process import ServiceProcess
from tests.support.temporal_probe import TemporalProbe


@pytest.fixture
def room(stack: LocalStack, database_name: str, tmp_path: Path) -> Iterator[HostRoom]:
    room = HostRoom(stack, database_name, tmp_path)
    yield room
    with TemporalProbe.opened(stack.temporal_address) as probe:
        probe.delete_schedule(f"test-{room.mark}-push-notifications")


@pytest.fixture
def worker(room: HostRoom) -> Iterator[ServiceProcess]:
    """`notifications worker`, serving the room."""
    process = ServiceProcess(
        "modules.cli.main",
        "worker",
        "--processes",
        "1",
        "--json",
        environment=room.environment,
        log=room.folder / "worker.log",
    )
    eventually(lambda: '"ready"' in process.output, within_seconds=40.0)
    yield process
    process.kill()
    sys.stdout.write(process.output)

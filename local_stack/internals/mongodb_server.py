"""Finds a mongod and says how to run it as a replica set of one, or as a member of a larger one."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from local_stack.errors import ToolMissingError
from local_stack.internals.free_ports import LOOPBACK
from local_stack.internals.process_identity import listens
from local_stack.internals.server_environment import server_environment
from local_stack.internals.server_process import ServerDefinition
from local_stack.internals.stack_folder import StackFolder
from local_stack.internals.store.replica_set import REPLICA_SET, is_member, is_primary

OPLOG_MEGABYTES = 128
STOP_TIMEOUT_SECONDS = 10.0
VERSION_TIMEOUT_SECONDS = 30.0


def find_mongod() -> Path:
    """The mongod of the development wheel, else the one on PATH; raises ToolMissingError when none runs."""
    wheel = Path(sysconfig.get_path("platlib")) / "fiftyone" / "db" / "bin" / "mongod"
    on_path = shutil.which("mongod")
    for program in (wheel, Path(on_path) if on_path else None):
        if program is not None and _runs(program):
            return program
    raise ToolMissingError(
        "no mongod runs here: set MONGODB_URI to a replica set, put mongod 6.0 or newer on PATH,"
        " or install requirements-dev.lock (its wheel holds one for Linux on x86_64)"
    )


def mongodb_names(nodes: int) -> list[str]:
    """What the servers of a set are called in their stack: mongodb, mongodb_2, mongodb_3 …"""
    return ["mongodb", *(f"mongodb_{number}" for number in range(2, nodes + 1))]


def mongodb_uri(ports: Sequence[int]) -> str:
    hosts = ",".join(f"{LOOPBACK}:{port}" for port in ports)
    return f"mongodb://{hosts}/?replicaSet={REPLICA_SET}"


def define_mongodb(
    *,
    name: str,
    alone: bool,
    program: Path,
    folder: StackFolder,
    port: int,
    cache_gigabytes: float,
    start_timeout_seconds: float,
) -> ServerDefinition:
    """A server on the port: `alone`, ready when it is primary under that address, else when it can join."""
    takes_part = is_primary if alone else is_member
    command = (
        *(str(program), "--replSet", REPLICA_SET, "--bind_ip", LOOPBACK, "--port", str(port)),
        *("--dbpath", str(folder.data(name)), "--nounixsocket", "--quiet"),
        *("--wiredTigerCacheSizeGB", str(cache_gigabytes), "--oplogSize", str(OPLOG_MEGABYTES)),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
    )
    return ServerDefinition(
        name=name,
        command=command,
        environment=server_environment(temporary=folder.temporary(), run_id=folder.state.run_id),
        working_folder=folder.path,
        log_path=folder.log(name),
        is_ready=lambda pid: listens(pid, port) and takes_part(LOOPBACK, port),
        start_timeout_seconds=start_timeout_seconds,
        stop_timeout_seconds=STOP_TIMEOUT_SECONDS,
    )


def _runs(program: Path) -> bool:
    try:
        answer = subprocess.run(  # noqa: S603
            [program, "--version"], capture_output=True, timeout=VERSION_TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0

"""Tells one process from another that later got its number, so that only our own are ever ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
# Stands in the environment of every server and of all that the server starts itself.
RUN_ID_VARIABLE = "NOTIFICATION_SERVICE_STACK_RUN"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """A process id that is only meant while the process has this start time and runs this program."""

    pid: int
    started: str
    program: str


def identify(pid: int, program: str) -> ProcessIdentity | None:
    """The identity of a living process that runs `program`; None when it is gone or something else."""
    seen = _from_proc(pid) if PROC.joinpath("self", "stat").exists() else from_ps(pid)
    if seen is None or program not in seen[1]:
        return None
    return ProcessIdentity(pid=pid, started=seen[0], program=program)


def end_process(identity: ProcessIdentity) -> None:
    """SIGKILL the process unless its number has passed to another one."""
    if identify(identity.pid, identity.program) == identity:
        with suppress(ProcessLookupError):
            os.kill(identity.pid, signal.SIGKILL)


def processes_of_run(run_id: str) -> list[int]:
    """Every process that inherited this run's id, grandchildren included; empty where there is no /proc."""
    entry = f"{RUN_ID_VARIABLE}={run_id}".encode()
    found = []
    for folder in PROC.glob("[0-9]*"):
        with suppress(OSError):
            if entry in folder.joinpath("environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def listens(pid: int, port: int) -> bool:
    """True if this very process listens on the loopback port; True where /proc cannot tell."""
    table = PROC / "net" / "tcp"
    if not table.exists():
        return True
    sockets = set()
    for line in table.read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
            sockets.add(f"socket:[{fields[9]}]")
    for descriptor in PROC.glob(f"{pid}/fd/*"):
        with suppress(OSError):
            if str(descriptor.readlink()) in sockets:
                return True
    return False


def _from_proc(pid: int) -> tuple[str, str] | None:
    try:
        stat = PROC.joinpath(str(pid), "stat").read_text()
        command = PROC.joinpath(str(pid), "cmdline").read_bytes()
        boot = PROC.joinpath("sys", "kernel", "random", "boot_id").read_text().strip()
    except OSError:
        return None
    # proc(5): the name stands in parentheses and may hold spaces; state is field 3, start time field 22.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in "ZX":
        return None
    return f"{boot}/{fields[19]}", command.replace(b"\0", b" ").decode(errors="replace")


def from_ps(pid: int) -> tuple[str, str] | None:
    """Start time and command as ps tells them, for systems without /proc; None when the process is gone."""
    ps = shutil.which("ps")
    if ps is None:
        return None
    answers = [
        subprocess.run(  # noqa: S603
            [ps, "-o", f"{column}=", "-p", str(pid)], capture_output=True, text=True, check=False
        ).stdout.strip()
        for column in ("lstart", "stat", "command")
    ]
    started, state, command = answers
    return None if not started or state.startswith("Z") else (started, command)

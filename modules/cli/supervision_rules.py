"""What a supervisor of worker processes goes by: how many, how soon again, how large, on which port."""

from __future__ import annotations

import os
from pathlib import Path

from modules.application.errors import ConfigurationError

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
# A process that lasted this long was no failed start.
LASTING_SECONDS = 60.0
HIGHEST_PORT = 65_535
_KIB_OF_MIB = 1_024


class RestartPauses:
    """How long one place stays empty before a process is started in it again."""

    def __init__(self) -> None:
        self._next_seconds = FIRST_PAUSE_SECONDS

    def after(self, lasted_seconds: float) -> float:
        """The pause in seconds: 1, then twice the last one up to 30; 1 again after a process that lasted."""
        if lasted_seconds >= LASTING_SECONDS:
            self._next_seconds = FIRST_PAUSE_SECONDS
        pause_seconds = self._next_seconds
        self._next_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
        return pause_seconds


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def metrics_ports(first: int | None, count: int) -> tuple[int | None, ...]:
    """The port of each process, from `first` on; raises ConfigurationError when ports do not suffice."""
    if first is None:
        return (None,) * count
    if first + count - 1 > HIGHEST_PORT:
        reason = f"port {first}: {count} processes need as many ports from it on"
        raise ConfigurationError(code="metrics_port_unusable", field="metrics.port", reason=reason)
    return tuple(range(first, first + count))


def resident_mib(pid: int) -> int | None:
    """A process's resident memory (proc(5), VmRSS); None when it is gone or the system has no /proc."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) // _KIB_OF_MIB
    return None

"""The servers a benchmark runs against, what the machine is, and where processor time went."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from local_stack.local_stack_service import LocalStack, LocalStackService
from local_stack.types import LocalStackParams, SimulatorEngine

# A million rows fit in.
MONGODB_CACHE_GIGABYTES = 4.0
CLOCK_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def tell(text: str) -> None:
    """Progress is for standard error: standard output carries the one line of JSON."""
    print(text, file=sys.stderr, flush=True)


def describe_machine() -> None:
    load = " ".join(f"{each:.2f}" for each in os.getloadavg())
    tell(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC; {_processor_name()}, {os.cpu_count()} cores; "
        f"{platform.system()} {platform.release()}; Python {platform.python_version()}; load {load}"
    )


@contextmanager
def bench_stack(name: str, engine: SimulatorEngine) -> Iterator[LocalStack]:
    """Fresh servers of the benchmark's own, named in this process's environment too."""
    describe_machine()
    params = LocalStackParams(
        folder=Path(f".local/bench-{name}"),
        simulator=engine,
        temporal_ui=False,
        mongodb_cache_gigabytes=MONGODB_CACHE_GIGABYTES,
        use_configured=False,
        on_progress=tell,
    )
    with LocalStackService.start(params) as stack:
        os.environ.update(stack.environment())
        os.environ["APP_ENV"] = "test"
        yield stack


@dataclass(frozen=True, slots=True)
class ProcessorTime:
    """Seconds of processor time that named processes have used so far."""

    seconds: Mapping[str, float]

    @classmethod
    def of(cls, pids: Mapping[str, int]) -> ProcessorTime:
        return cls({name: _processor_seconds(pid) for name, pid in pids.items()})

    def since(self, earlier: ProcessorTime) -> ProcessorTime:
        return ProcessorTime({name: used - earlier.seconds[name] for name, used in self.seconds.items()})

    def plus(self, other: ProcessorTime | None) -> ProcessorTime:
        if other is None:
            return self
        return ProcessorTime({name: used + other.seconds[name] for name, used in self.seconds.items()})

    def milliseconds_each(self, count: int) -> dict[str, float]:
        return {name: round(used / count * 1000, 2) for name, used in self.seconds.items()}


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS_PER_SECOND


def _processor_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()

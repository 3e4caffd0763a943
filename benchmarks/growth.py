"""Measures whether a row costs the same in a large campaign as in a small one: `python -m benchmarks.growth`.

The last line is one JSON object. `us_per_row_*` is the processor time that all processes but the simulator
use for a row, from the call to the last row `sent`; wall time a row stands beside it.
"""

from __future__ import annotations

import argparse
import os

from benchmarks.bench_room import ProcessorTime, tell
from benchmarks.bulk_room import BulkRoom, make_accounts, run_benchmark
from benchmarks.campaign import run_campaign

SIZES = {"10k": 10_000, "100k": 100_000, "1m": 1_000_000}
SMALLEST_REPEATED = 5


def cost(room: BulkRoom, pids: dict[str, int], accounts: list[str], key: str) -> tuple[float, float]:
    """Microseconds of processor and of wall time a row."""
    product = {name: pid for name, pid in pids.items() if name != "simulator"}
    before = ProcessorTime.of(product)
    seconds, _ = run_campaign(room, accounts, key)
    used = sum(ProcessorTime.of(product).since(before).seconds.values())
    return used / len(accounts) * 1e6, seconds / len(accounts) * 1e6


def measure(room: BulkRoom, options: argparse.Namespace) -> dict[str, object]:
    sizes = {name: size for name, size in SIZES.items() if size <= options.largest}
    accounts = make_accounts("growth", max(sizes.values()))
    tell(f"registering {len(accounts)} devices")
    room.register_devices(accounts)
    figures: dict[str, object] = {"benchmark": "growth"}
    with room.workers(options.processes) as pids:
        run_campaign(room, accounts[: SIZES["10k"]], "warm-up")
        for name, size in sizes.items():
            runs = SMALLEST_REPEATED if name == "10k" else 1
            costs = [cost(room, pids, accounts[:size], f"{name}-{number}") for number in range(runs)]
            processor, wall = (sum(each) / runs for each in zip(*costs, strict=True))
            tell(f"{name}: {processor:.0f} us of processor, {wall:.0f} us of wall time a row")
            figures |= {f"us_per_row_{name}": round(processor), f"wall_us_per_row_{name}": round(wall)}
    smallest, largest = (figures[f"us_per_row_{name}"] for name in (next(iter(sizes)), list(sizes)[-1]))
    assert isinstance(smallest, int)
    assert isinstance(largest, int)
    return {
        **figures,
        "ratio": round(largest / smallest, 3),
        "processes": options.processes,
        "cores": os.cpu_count(),
    }


if __name__ == "__main__":
    run_benchmark("growth", measure, description=__doc__, largest=1_000_000)

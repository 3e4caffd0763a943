"""Kills a worker (SIGKILL) at a random moment under queued rows, over and over, and checks the invariant."""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from local_stack.local_stack_service import LocalStackService
from local_stack.types import LocalStackParams
from tests.support.fault_room import FaultRoom
from tests.support.invariant import leaks_of, problems_of, unknown_sends
from tests.support.service_process import ServiceProcess

ROWS = 200
ACCOUNTS = 20
WORKERS = 2
# A provider's answer takes a while, so that kills meet requests under way.
LATENCY_MS = 30
JITTER_SECONDS = 0.1
FINISH_SECONDS = 110.0


@dataclass(frozen=True, slots=True)
class KillNineResult:
    """What one run came to. `repeated` are messages the provider accepted beyond one a row."""

    seed: int
    killed_after: int
    accepted: int
    repeated: int
    unknown: int
    lost_claims: int
    seconds: float
    problems: tuple[str, ...]


class KillNine:
    """Two workers; each run kills one of them and replaces it."""

    def __init__(self, room: FaultRoom, rows: int = ROWS) -> None:
        self._room = room
        self._rows = rows
        self._workers: list[ServiceProcess] = [room.worker() for _ in range(WORKERS)]
        self._accounts = room.accounts(ACCOUNTS)
        room.simulator.set_latency(LATENCY_MS)

    def run(self, seed: int) -> KillNineResult:
        """Queue rows, trigger the scan, kill when a random number of them is accepted, wait for the end."""
        chance = random.Random(seed)
        killed_after = chance.randrange(self._rows)
        jitter_seconds = chance.uniform(0, JITTER_SECONDS)
        victim = chance.randrange(WORKERS)
        room, started = self._room, time.monotonic()
        since = room.simulator.position()
        ids = set(room.send_many([self._accounts[n % ACCOUNTS] for n in range(self._rows)]))
        with ThreadPoolExecutor(1) as pool:
            scanning = pool.submit(room.scan)
            room.wait_until(
                lambda: room.simulator.position() - since >= killed_after, within_seconds=FINISH_SECONDS
            )
            threading.Event().wait(jitter_seconds)
            killed = self._workers[victim]
            killed.kill()
            self._workers[victim] = room.worker()
            scanning.result(FINISH_SECONDS)
        problems = _problems_of_finishing(room)
        rows = [room.row(notification_id) for notification_id in ids]
        audit = room.simulator.audit(since)
        problems += problems_of(rows, room.devices(), audit)
        problems += leaks_of({killed.log.name: killed.output}, (room.title, room.body, room.address_mark))
        return KillNineResult(
            seed=seed,
            killed_after=killed_after,
            accepted=len(audit),
            repeated=len(audit) - len(rows),
            unknown=unknown_sends(rows),
            lost_claims=sum(row["lost_claims"] for row in rows),
            seconds=time.monotonic() - started,
            problems=tuple(problems),
        )


def _problems_of_finishing(room: FaultRoom) -> list[str]:
    try:
        room.finish(FINISH_SECONDS)
    except AssertionError as error:
        return [str(error)]
    return []


def summary(results: Sequence[KillNineResult], rows: int) -> dict[str, object]:
    """The last line: one JSON object."""
    seconds = [result.seconds for result in results]
    return {
        "benchmark": "kill_nine",
        "runs": len(results),
        "rows_per_run": rows,
        "invariant_held": sum(not result.problems for result in results),
        "rows": rows * len(results),
        "accepted": sum(result.accepted for result in results),
        "repeated": sum(result.repeated for result in results),
        "repeated_most_in_a_run": max(result.repeated for result in results),
        "recorded_unknown": sum(result.unknown for result in results),
        "runs_with_lost_claims": sum(result.lost_claims > 0 for result in results),
        "median_seconds": round(statistics.median(seconds), 1),
        "longest_seconds": round(max(seconds), 1),
        "failed_seeds": [result.seed for result in results if result.problems],
    }


def main() -> int:
    """Returns 1 when the invariant was broken in any run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(".local/kill-nine"))
    arguments = parser.parse_args()
    results: list[KillNineResult] = []
    params = LocalStackParams(folder=arguments.folder, use_configured=False, temporal_ui=False)
    with LocalStackService.start(params) as stack, FaultRoom.opened(stack) as room:
        harness = KillNine(room, arguments.rows)
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.runs):
            results.append(harness.run(seed))
            print(json.dumps(asdict(results[-1])), flush=True)
    print(json.dumps(summary(results, arguments.rows)), flush=True)
    return int(any(result.problems for result in results))


if __name__ == "__main__":
    sys.exit(main())

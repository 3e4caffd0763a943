"""Runs random faults under load for some minutes and proves that every promise was kept."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench_room import describe_machine, tell
from benchmarks.nemesis.breach import Breach, Kind
from benchmarks.nemesis.breach import tell as tell_breach
from benchmarks.nemesis.checker import Verdict, check
from benchmarks.nemesis.records import Records
from benchmarks.nemesis.room import REQUESTS_IN_FLIGHT, NemesisRoom, archive
from benchmarks.nemesis.schedule import make_schedule
from local_stack.local_stack_service import LocalStackService
from local_stack.types import LocalStackParams
from tests.support.invariant import unknown_sends

NODES = 3
FINISH_SECONDS = 150.0
# Of many breaches of a kind the first ones explain most.
TOLD = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Nemesis:
    """One run: what was done, what came of it."""

    seed: int
    minutes: float
    faults: int
    records: Records
    verdict: Verdict

    def summary(self) -> dict[str, object]:
        return {
            "benchmark": "nemesis",
            "minutes": self.minutes,
            "seed": self.seed,
            "faults": self.faults,
            "calls": len(self.records.calls),
            "rows": len(self.records.rows),
            "campaigns": len(self.records.campaigns),
            "sends": len(self.records.audit),
            "unknown": unknown_sends(self.records.rows),
            "excused": self.verdict.excused,
            "breaches": len(self.verdict.breaches),
        }


def run(*, seed: int, minutes: float, folder: Path, earlier: Path | None = None) -> Nemesis:
    """Start the servers, do it all, check, and leave nothing running."""
    params = LocalStackParams(
        folder=folder,
        use_configured=False,
        temporal_ui=False,
        mongodb_nodes=NODES,
        mongodb_cache_gigabytes=0.25,
    )
    schedule = make_schedule(seed, seconds=minutes * 60, beside=earlier is not None)
    with (
        LocalStackService.start(params) as stack,
        NemesisRoom.opened(stack, seed=seed, earlier=earlier) as room,
    ):
        hand = room.run(schedule, tell)
        room.finish(FINISH_SECONDS, tell)
        records = room.records(hand)
    verdict = check(records, requests_in_flight=REQUESTS_IN_FLIGHT)
    return Nemesis(seed=seed, minutes=minutes, faults=len(hand.done), records=records, verdict=verdict)


def told(nemesis: Nemesis) -> list[str]:
    """The first breaches of each kind with their stories, then how many there are of it, as lines."""
    by_kind: dict[Kind, list[Breach]] = {}
    for breach in nemesis.verdict.breaches:
        by_kind.setdefault(breach.kind, []).append(breach)
    lines: list[str] = []
    for breaches in by_kind.values():
        for breach in breaches[:TOLD]:
            lines.extend(tell_breach(breach, nemesis.records))
    return [*lines, *(f"{len(breaches)} x {kind}" for kind, breaches in by_kind.items())]


def main() -> int:
    """Returns 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=None, help="of a run that is to be repeated")
    parser.add_argument(
        "--beside", metavar="REV", help="workers of this commit serve beside the present ones"
    )
    parser.add_argument("--folder", type=Path, default=Path(".local/nemesis"))
    arguments = parser.parse_args()
    seed = secrets.randbelow(10**6) if arguments.seed is None else arguments.seed
    describe_machine()
    tell(f"seed {seed}")
    with tempfile.TemporaryDirectory() as temporary:
        earlier = archive(arguments.beside, Path(temporary)) if arguments.beside else None
        nemesis = run(seed=seed, minutes=arguments.minutes, folder=arguments.folder, earlier=earlier)
    for line in told(nemesis):
        tell(line)
    print(json.dumps(nemesis.summary()), flush=True)
    return int(bool(nemesis.verdict.breaches))


if __name__ == "__main__":
    sys.exit(main())

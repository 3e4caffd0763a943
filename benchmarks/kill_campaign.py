"""Kills a worker (SIGKILL) at random moments of one campaign, over and over, and checks the invariant.

`python -m benchmarks.kill_campaign [--rows 50000] [--kills 20] [--seed 1]`; a line a kill, and the last line
is one JSON object. Two workers serve; the one that is killed is replaced before the next kill.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from local_stack.local_stack_service import LocalStackService
from local_stack.types import LocalStackParams
from tests.support.campaign_room import CampaignRoom
from tests.support.invariant import unknown_sends
from tests.support.service_process import ServiceProcess

ROWS = 50_000
KILLS = 20
WORKERS = 2
# Some 330 messages a second from each worker: kills meet requests under way, and the campaign outlasts them.
SETTINGS = {"FCM_MAX_CONCURRENT_REQUESTS": 10}
LATENCY_MS = 30
# Another worker has an interrupted slice after 15 s; rows already claimed wait for their 30 s lease.
FINISH_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill: how many messages had been accepted, and which worker it was."""

    number: int
    accepted: int
    worker: int


@dataclass(frozen=True, slots=True)
class KillCampaignResult:
    """What one campaign came to. `repeats` are messages the provider accepted beyond one a row."""

    seed: int
    rows: int
    kills: int
    accepted: int
    repeats: int
    unknown: int
    lost_claims: int
    seconds: float
    problems: tuple[str, ...]


class KillCampaign:
    """Two workers and one campaign under way in a room of its own."""

    def __init__(self, room: CampaignRoom, rows: int = ROWS) -> None:
        self._room = room
        self._audience = room.audience(rows)
        self._workers: list[ServiceProcess] = [room.worker() for _ in range(WORKERS)]
        room.simulator.set_latency(LATENCY_MS)

    def run(self, seed: int, kills: int = KILLS) -> KillCampaignResult:
        """Start the campaign, kill as often as told while it runs, wait for its end, compare."""
        rows, room, started = len(self._audience), self._room, time.monotonic()
        campaign_id = room.start_campaign(self._audience)
        self._kill(random.Random(seed), kills, most_rows_between=rows // (4 * kills))
        problems = self._problems_of_finishing(campaign_id)
        seconds = time.monotonic() - started
        problems += room.problems()
        delivered, accepted = room.rows(), room.accepted()
        return KillCampaignResult(
            seed=seed,
            rows=rows,
            kills=kills,
            accepted=accepted,
            repeats=accepted - len(delivered),
            unknown=unknown_sends(delivered),
            lost_claims=sum(row["lost_claims"] for row in delivered),
            seconds=round(seconds, 1),
            problems=tuple(problems),
        )

    def _kill(self, chance: random.Random, kills: int, *, most_rows_between: int) -> None:
        """Each kill waits until messages flow again after the one before."""
        room = self._room
        for number in range(1, kills + 1):
            room.wait_for_accepted(room.accepted() + chance.randint(1, most_rows_between), FINISH_SECONDS)
            victim = chance.randrange(WORKERS)
            self._workers[victim].kill()
            print(json.dumps(asdict(Kill(number, room.accepted(), victim))), file=sys.stderr, flush=True)
            self._workers[victim] = room.worker()

    def _problems_of_finishing(self, campaign_id: str) -> list[str]:
        try:
            self._room.wait_for_end(campaign_id, FINISH_SECONDS)
        except AssertionError as error:
            return [str(error)]
        return []


def summary(result: KillCampaignResult) -> dict[str, object]:
    """The last line: one JSON object."""
    figures = asdict(result)
    problems: Sequence[str] = figures.pop("problems")
    figures["recorded_unknown"] = figures.pop("unknown")
    return {"benchmark": "kill_campaign", **figures, "invariant_held": not problems}


def main() -> int:
    """Returns 1 when the invariant was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(".local/kill-campaign"))
    arguments = parser.parse_args()
    params = LocalStackParams(folder=arguments.folder, use_configured=False, temporal_ui=False)
    with LocalStackService.start(params) as stack, CampaignRoom.opened(stack, **SETTINGS) as room:
        result = KillCampaign(room, arguments.rows).run(arguments.seed, arguments.kills)
    for problem in result.problems:
        print(problem, file=sys.stderr)
    print(json.dumps(summary(result)), flush=True)
    return int(bool(result.problems))


if __name__ == "__main__":
    sys.exit(main())

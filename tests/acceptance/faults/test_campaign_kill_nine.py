"""Workers are killed (SIGKILL) at random moments of one campaign; see also benchmarks.kill_campaign."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from benchmarks.kill_campaign import SETTINGS, KillCampaign
from local_stack.local_stack_service import LocalStack
from modules.campaign.internals.campaign_delivery import CHUNK_ROWS
from tests.support.campaign_room import CampaignRoom

ROWS = 5_000
KILLS = 5
# Another worker has an interrupted slice after 15 s; rows already claimed wait for their 30 s lease.
# A kill interrupts as many slices as are sent at once.
SLICES_AT_ONCE = 1


@pytest.fixture
def room(stack: LocalStack) -> Iterator[CampaignRoom]:
    with CampaignRoom.opened(stack, **SETTINGS, WORKER_MAX_CONCURRENT_PAGES=SLICES_AT_ONCE) as opened:
        yield opened


def test_killed_at_random_moments_of_a_campaign(room: CampaignRoom) -> None:
    """The invariant holds; at most the chunk under way repeats. KILL_CAMPAIGN_SEED repeats a seed."""
    seed = int(os.environ.get("KILL_CAMPAIGN_SEED", "0")) or int.from_bytes(os.urandom(3))
    result = KillCampaign(room, ROWS).run(seed, KILLS)
    print(result)
    assert not result.problems, f"seed {seed}: {result.problems}"
    assert ROWS <= result.accepted <= ROWS + result.unknown
    assert result.unknown <= KILLS * SLICES_AT_ONCE * CHUNK_ROWS

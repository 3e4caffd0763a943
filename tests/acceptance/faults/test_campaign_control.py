"""Fault 34: a campaign is cancelled, or paused and resumed, in its middle."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local_stack.local_stack_service import LocalStack
from modules.campaign.campaign_service import CampaignService
from modules.campaign.internals.campaign_delivery import CHUNK_ROWS
from modules.campaign.types import CampaignState
from tests.support.campaign_room import CampaignRoom
from tests.support.invariant import accepted_by_target, unknown_sends

ROWS = 12_000
FEW_ROWS = 3_000
SLICES_AT_ONCE = 4
# A chunk of each slice then takes longer than a process needs to hear of a cancellation (its heartbeat).
SLOW = {"FCM_MAX_CONCURRENT_REQUESTS": 50, "WORKER_MAX_CONCURRENT_PAGES": SLICES_AT_ONCE}
LATENCY_MS = 400
BEFORE_THE_STOP = 100


@pytest.fixture
def room(stack: LocalStack) -> Iterator[CampaignRoom]:
    with CampaignRoom.opened(stack, **SLOW) as opened:
        opened.worker()
        opened.simulator.set_latency(LATENCY_MS)
        yield opened


def test_fault_34_a_campaign_cancelled_midway(room: CampaignRoom) -> None:
    """It ends with the chunks under way, its counts are exact, and nothing is sent afterwards."""
    campaign_id = room.start_campaign(room.audience(ROWS))
    room.wait_for_accepted(BEFORE_THE_STOP)

    campaign = CampaignService.cancel_campaign(campaign_id=campaign_id)

    accepted = room.accepted()
    assert BEFORE_THE_STOP <= accepted <= SLICES_AT_ONCE * CHUNK_ROWS
    assert campaign.state is CampaignState.CANCELLED
    assert dict(campaign.counts) == {"sent": accepted, "cancelled": ROWS - accepted}
    room.simulator.set_latency(0)
    requests = room.simulator.stats()["requests"]
    room.wait_until(lambda: room.probe.is_completed(f"campaign/{campaign_id}"))
    room.scan()
    assert room.simulator.stats()["requests"] == requests
    assert unknown_sends(room.rows()) == 0
    room.assert_invariant()


def test_fault_34_a_campaign_paused_and_resumed(room: CampaignRoom) -> None:
    """Nothing of it is sent while it is paused, also by another worker; resumed, it tells nobody twice."""
    campaign_id = room.start_campaign(room.audience(FEW_ROWS))
    room.register("in-between")
    room.wait_for_accepted(BEFORE_THE_STOP)

    paused = CampaignService.pause_campaign(campaign_id=campaign_id)

    accepted = room.accepted()
    assert BEFORE_THE_STOP <= accepted <= SLICES_AT_ONCE * CHUNK_ROWS
    assert (paused.state, paused.counts["sent"]) == (CampaignState.PAUSED, accepted)
    room.simulator.set_latency(0)
    requests = room.simulator.stats()["requests"]
    room.processes[0].kill()
    room.worker()
    in_between = room.send("in-between", immediate=True)
    room.scan()
    assert room.row(in_between)["status"] == "sent"
    assert room.simulator.stats()["requests"] == requests + 1

    CampaignService.resume_campaign(campaign_id=campaign_id)

    completed = room.wait_for_end(campaign_id)
    assert (completed.state, dict(completed.counts)) == (CampaignState.COMPLETED, {"sent": FEW_ROWS})
    assert set(accepted_by_target(room.audit()).values()) == {1}
    assert unknown_sends(room.rows()) == 0
    room.assert_invariant()

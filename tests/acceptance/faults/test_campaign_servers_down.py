"""Faults 10, 15 and 16 in a campaign: Temporal or MongoDB is killed and comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local_stack.local_stack_service import LocalStack
from modules.application.worker import Lane
from modules.campaign.run_types import PAGE_ACCOUNTS
from modules.campaign.types import CampaignState
from modules.campaign.workers.campaign_steps import SLICE_ACTIVITY
from tests.support.campaign_room import CampaignRoom
from tests.support.invariant import unknown_sends

PAGES = 12
ROWS = PAGES * PAGE_ACCOUNTS
MONGODB_ROWS = 5_000
BEFORE_THE_FAULT = 400
PATIENT = {"MONGODB_SERVER_SELECTION_TIMEOUT_SECONDS": 40, "MONGODB_OPERATION_TIMEOUT_SECONDS": 40}
IMPATIENT = {"MONGODB_SERVER_SELECTION_TIMEOUT_SECONDS": 1, "MONGODB_OPERATION_TIMEOUT_SECONDS": 3}


@pytest.fixture
def room(fresh_stack: LocalStack, request: pytest.FixtureRequest) -> Iterator[CampaignRoom]:
    with CampaignRoom.opened(fresh_stack, **getattr(request, "param", {})) as opened:
        yield opened


def test_fault_10_temporal_restarts_in_a_campaign(room: CampaignRoom) -> None:
    """The same run goes on from its cursor: no slice is asked for again, every account is told once."""
    worker = room.worker()
    campaign_id = room.start_campaign(room.audience(ROWS))
    room.wait_for_accepted(BEFORE_THE_FAULT)
    room.stack.servers["temporal"].kill()
    assert room.accepted() < ROWS
    room.stack.servers["temporal"].restart()

    campaign = room.wait_for_end(campaign_id)

    assert worker.is_running
    assert (campaign.state, dict(campaign.counts)) == (CampaignState.COMPLETED, {"sent": ROWS})
    assert (room.accepted(), unknown_sends(room.rows())) == (ROWS, 0)
    bulk_queue = room.task_queue(Lane.BULK)
    assert room.probe.executions(bulk_queue) == 1
    slices = room.probe.activity_inputs(bulk_queue, SLICE_ACTIVITY)
    asked_for = [(part["page"], part["start"], part["end"]) for part in slices]
    assert sorted(asked_for) == [(page, 0, PAGE_ACCOUNTS) for page in range(PAGES)]
    room.assert_invariant()


@pytest.mark.parametrize("room", [PATIENT], indirect=True)
def test_fault_15_mongodb_killed_in_a_campaign(room: CampaignRoom) -> None:
    """Reads and writes that were under way are repeated; no account gets a second row."""
    worker = room.worker()
    campaign_id = room.start_campaign(room.audience(MONGODB_ROWS))
    room.wait_for_accepted(BEFORE_THE_FAULT)
    room.stack.servers["mongodb"].kill()
    assert room.accepted() < MONGODB_ROWS
    room.stack.servers["mongodb"].restart()

    campaign = room.wait_for_end(campaign_id)

    assert worker.is_running
    assert (campaign.state, dict(campaign.counts)) == (CampaignState.COMPLETED, {"sent": MONGODB_ROWS})
    room.assert_invariant()


@pytest.mark.parametrize("room", [IMPATIENT], indirect=True)
def test_fault_16_mongodb_down_in_a_campaign(room: CampaignRoom) -> None:
    """What was sent is kept until it can be written, no more is sent meanwhile, and the campaign recovers."""
    worker = room.worker()
    campaign_id = room.start_campaign(room.audience(MONGODB_ROWS))
    room.wait_for_accepted(BEFORE_THE_FAULT)
    room.stack.servers["mongodb"].kill()
    room.wait_until(lambda: worker.output.count("push.write_retried") >= 3, within_seconds=40)
    without_mongodb = room.accepted()
    room.wait_until(lambda: worker.output.count("push.write_retried") >= 6, within_seconds=40)
    assert room.accepted() == without_mongodb < MONGODB_ROWS
    room.stack.servers["mongodb"].restart()

    campaign = room.wait_for_end(campaign_id)

    assert worker.is_running
    assert (campaign.state, dict(campaign.counts)) == (CampaignState.COMPLETED, {"sent": MONGODB_ROWS})
    room.assert_invariant()

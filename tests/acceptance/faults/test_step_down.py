"""Three MongoDB servers whose primary steps down, or that lose their majority: nobody is told twice."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from local_stack.local_stack_service import LocalStack
from modules.campaign.types import CampaignState
from modules.notification.errors import NotificationUnconfirmedError
from tests.support.campaign_room import CampaignRoom
from tests.support.invariant import unknown_sends
from tests.support.mongodb_nodes import MongodbNodes

ROWS = 6_000
STEP_DOWNS = 4
STEP_DOWN_SECONDS = 6


@pytest.fixture
def room(three_nodes: LocalStack, request: pytest.FixtureRequest) -> Iterator[CampaignRoom]:
    # The default lease and patience: what has to be survived is the election, not a lost claim.
    settings = {"DELIVERY_LEASE_SECONDS": 30, **getattr(request, "param", {})}
    with CampaignRoom.opened(three_nodes, **settings) as opened:
        yield opened


@pytest.mark.timeout(240)
def test_a_primary_that_steps_down_in_a_campaign_has_nobody_told_twice(room: CampaignRoom) -> None:
    nodes = MongodbNodes(room.stack)
    room.worker()
    campaign_id = room.start_campaign(room.audience(ROWS), rate_per_second=400.0)
    for turn in range(STEP_DOWNS):
        room.wait_for_accepted((turn + 1) * ROWS // (STEP_DOWNS + 2), within_seconds=60)
        nodes.wait_for_primary(other_than=nodes.step_down(seconds=STEP_DOWN_SECONDS, force=turn % 2 == 1))

    campaign = room.wait_for_end(campaign_id, within_seconds=90)

    assert (campaign.state, dict(campaign.counts)) == (CampaignState.COMPLETED, {"sent": ROWS})
    # By force, what a majority did not have yet is lost with the primary: a claim, say, and a send with it.
    assert room.accepted() - ROWS <= unknown_sends(room.rows())
    assert unknown_sends(room.rows()) < ROWS / 10
    room.assert_invariant()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("room", [{"MONGODB_OPERATION_TIMEOUT_SECONDS": 2}], indirect=True)
def test_callers_whom_no_majority_answers_are_told_the_id_of_what_may_go_out(room: CampaignRoom) -> None:
    nodes = MongodbNodes(room.stack)
    accounts = room.accounts(5)
    primary = nodes.wait_for_primary()
    others = [name for name in nodes.servers if name != primary]

    def send(account_id: str) -> str:
        try:
            return room.send(account_id)
        except NotificationUnconfirmedError as error:
            return error.notification_id

    with ThreadPoolExecutor(len(accounts)) as pool:
        for name in others:
            nodes.pause(name)
        told = list(pool.map(send, accounts))
        for name in others:
            nodes.resume(name)
    nodes.wait_for_primary()

    known = {str(row["_id"]) for row in room.rows()}
    assert known <= set(told), "no row is there that its caller does not know of"
    room.worker()
    room.finish()
    assert {entry["android_tag"] for entry in room.audit()} <= set(told)

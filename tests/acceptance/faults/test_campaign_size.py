"""Faults 13 and 36: a campaign of more work than one history may hold, and a large one beside small ones."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from bootstrap import Role
from local_stack.local_stack_service import LocalStack
from modules.campaign.campaign_service import CampaignService
from modules.campaign.internals import campaign_audience
from modules.campaign.internals.store import campaign_page_repository
from modules.campaign.types import CampaignState
from modules.campaign.workers import campaign_progress
from tests.support.campaign_room import CampaignRoom
from tests.support.invariant import unknown_sends

SMALL_PAGE = 2
PAGES = 800
# One slice after the other: reports that come together would share their events.
ONE_AT_A_TIME = {"WORKER_MAX_CONCURRENT_PAGES": 1}
# Of one history, and what a run is to stay below (docs/decisions/0012).
TOO_MANY_EVENTS = 4_096
MOST_EVENTS = 2_000

LARGE_ROWS = 36_000
SMALL_ROWS = 200
SENDS = 50
UNDER_WAY = 1_000
# At most 2,500 messages a second: what the small ones wait for is the large one, not the processor.
LATENCY_MS = 40
IMMEDIATE_SECONDS = 3.0


@pytest.fixture
def room(stack: LocalStack, request: pytest.FixtureRequest) -> Iterator[CampaignRoom]:
    with CampaignRoom.opened(stack, **getattr(request, "param", {})) as opened:
        yield opened


@pytest.mark.parametrize("room", [ONE_AT_A_TIME], indirect=True)
def test_fault_13_a_campaign_of_more_events_than_a_run_may_have(
    room: CampaignRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It continues as new, each run is short, and the counts of all of them are the campaign's."""
    for module in (campaign_audience, campaign_page_repository, campaign_progress):
        monkeypatch.setattr(module, "PAGE_ACCOUNTS", SMALL_PAGE)
    room.become(Role.WORKER)
    accounts = SMALL_PAGE * PAGES
    campaign_id = room.start_campaign(room.audience(accounts))

    campaign = room.wait_for_end(campaign_id, within_seconds=100)

    assert (campaign.state, dict(campaign.counts)) == (CampaignState.COMPLETED, {"sent": accounts})
    assert (room.accepted(), unknown_sends(room.rows())) == (accounts, 0)
    lengths = room.probe.run_lengths(f"campaign/{campaign_id}")
    assert sum(lengths) > TOO_MANY_EVENTS
    assert max(lengths) <= MOST_EVENTS
    room.assert_invariant()


def test_fault_36_a_large_campaign_beside_small_ones(room: CampaignRoom) -> None:
    """Single sends and a small campaign that come after it have ended long before it."""
    room.worker()
    large_audience, small_audience = room.audience(LARGE_ROWS, "large"), room.audience(SMALL_ROWS, "small")
    room.register("neighbour")
    room.simulator.set_latency(LATENCY_MS)
    large = room.start_campaign(large_audience)
    room.wait_for_accepted(UNDER_WAY)

    def send_now(_: int) -> float:
        asked = time.monotonic()
        notification_id = room.send("neighbour", immediate=True)
        assert room.row(notification_id)["status"] == "sent"
        return time.monotonic() - asked

    small = room.start_campaign(small_audience)
    ordinary = room.send_many(["neighbour"] * SENDS)
    with ThreadPoolExecutor(5) as pool:
        scanning = pool.submit(room.scan)
        immediate_seconds = list(pool.map(send_now, range(SENDS)))
        scanning.result()
    room.wait_until(lambda: all(room.row(each)["status"] == "sent" for each in ordinary))
    assert room.wait_for_end(small).state is CampaignState.COMPLETED
    left = room.campaign(large).counts.get("waiting", 0)
    CampaignService.cancel_campaign(campaign_id=large)

    assert left > LARGE_ROWS / 2
    assert max(immediate_seconds) < IMMEDIATE_SECONDS
    assert unknown_sends(room.rows()) == 0
    room.assert_invariant()

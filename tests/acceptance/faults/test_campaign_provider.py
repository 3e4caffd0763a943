"""Faults 22, 23, 24 and 28 in a campaign: the provider slows us, fails, loses answers, closes connections."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from bootstrap import Role
from local_stack.local_stack_service import LocalStack
from modules.campaign.internals.campaign_delivery import CHUNK_ROWS
from modules.campaign.types import CampaignState
from modules.notification.types import OutcomePolicy
from tests.support.campaign_room import CampaignRoom
from tests.support.invariant import unknown_sends

ROWS = 1_500
SLICES_AT_ONCE = 2
BEFORE_THE_FAULT = 200

PAUSED_ROWS = 5_000
RETRY_AFTER_SECONDS = 10
# Another process learns of a pause within 2 s (docs/decisions/0011); each slice still sends its chunk.
CHUNKS_END_SECONDS = 6
# About a thousand messages a second from two workers: enough are left when the provider says wait.
PACED = {"FCM_MAX_CONCURRENT_REQUESTS": 50}
PACED_LATENCY_MS = 100

INTERNAL_ERRORS = 100
MOST_PROBES = 20
MAX_RETRIES = 4
LOST = 15
GOAWAY_EVERY = 30
CONNECTIONS_CLOSED = 40


@pytest.fixture
def room(stack: LocalStack, request: pytest.FixtureRequest) -> Iterator[CampaignRoom]:
    with CampaignRoom.opened(stack, **getattr(request, "param", {})) as opened:
        yield opened


@pytest.mark.parametrize("room", [PACED], indirect=True)
def test_fault_22_too_many_requests_in_a_campaign(room: CampaignRoom) -> None:
    """One 429 pauses all workers for as long as it says; no attempt is spent, and everything is sent."""
    for _ in range(2):
        room.worker()
    room.simulator.set_latency(PACED_LATENCY_MS)
    before = room.simulator.stats()["requests"]
    campaign_id = room.start_campaign(room.audience(PAUSED_ROWS))
    room.wait_for_accepted(BEFORE_THE_FAULT)
    room.simulator.add_rule(error_code="QUOTA_EXCEEDED", retry_after_seconds=RETRY_AFTER_SECONDS, times=1)
    room.wait_until(lambda: room.provider_pause_ends_at() is not None)
    paused_until = room.provider_pause_ends_at()
    assert paused_until is not None

    campaign = room.wait_for_end(campaign_id)

    all_wait = paused_until - timedelta(seconds=RETRY_AFTER_SECONDS - CHUNKS_END_SECONDS)
    accepted = [datetime.fromisoformat(entry["at"]) for entry in room.audit()]
    assert min(accepted) < all_wait
    assert max(accepted) > paused_until
    assert [each for each in accepted if all_wait < each < paused_until] == []
    assert (campaign.state, dict(campaign.counts)) == (CampaignState.COMPLETED, {"sent": PAUSED_ROWS})
    assert {row["retry_count"] for row in room.rows()} == {0}
    assert room.simulator.stats()["requests"] - before == PAUSED_ROWS + 1
    room.assert_invariant()


def _refused(room: CampaignRoom) -> int:
    return sum(room.simulator.stats()["refused"].values())


@pytest.mark.parametrize("room", [{"WORKER_MAX_CONCURRENT_PAGES": SLICES_AT_ONCE}], indirect=True)
def test_fault_23_a_burst_of_server_errors_in_a_campaign(room: CampaignRoom) -> None:
    """The chunks under way fail, then single probes ask until the provider is well; all is sent once."""
    room.become(Role.WORKER)
    before = room.simulator.stats()["requests"]
    refused_before = _refused(room)
    campaign_id = room.start_campaign(room.audience(ROWS))
    room.wait_for_accepted(BEFORE_THE_FAULT)
    room.simulator.add_rule(error_code="INTERNAL", times=INTERNAL_ERRORS)
    outage = room.simulator.add_rule(http_status=503)
    room.wait_until(lambda: "breaker.opened" in room.own_log.read_text())
    # Rows that came with a probe and were not tried themselves.
    room.wait_until(lambda: room.row_count(error_type="CIRCUIT_OPEN") > 0)
    room.wait_until(lambda: _refused(room) > refused_before + INTERNAL_ERRORS)
    room.simulator.remove_rule(outage)

    campaign = room.wait_for_end(campaign_id)

    rows = room.rows()
    assert (campaign.state, dict(campaign.counts)) == (CampaignState.COMPLETED, {"sent": ROWS})
    assert 1 <= max(row["retry_count"] for row in rows) <= MAX_RETRIES
    requests = room.simulator.stats()["requests"] - before
    assert ROWS + INTERNAL_ERRORS < requests <= ROWS + SLICES_AT_ONCE * CHUNK_ROWS + MOST_PROBES
    assert (room.accepted(), unknown_sends(rows)) == (ROWS, 0)
    room.assert_invariant()


@pytest.mark.parametrize("policy", OutcomePolicy)
def test_fault_24_answers_lost_in_a_campaign(room: CampaignRoom, policy: OutcomePolicy) -> None:
    """Each is recorded as unknown: told again under the same collapse id, or failed, as the policy says."""
    room.become(Role.WORKER)
    campaign_id = room.start_campaign(room.audience(ROWS), policy)
    room.wait_for_accepted(BEFORE_THE_FAULT)
    room.simulator.add_rule(effect="lost_response", times=LOST)

    campaign = room.wait_for_end(campaign_id)

    repeats = LOST if policy is OutcomePolicy.AT_LEAST_ONCE else 0
    failed = LOST - repeats
    assert campaign.state is CampaignState.COMPLETED
    assert {"failed": 0, **campaign.counts} == {"sent": ROWS - failed, "failed": failed}
    assert (room.accepted(), unknown_sends(room.rows())) == (ROWS + repeats, LOST)
    room.assert_invariant()


@pytest.mark.parametrize("policy", OutcomePolicy)
def test_fault_24_connections_lost_in_a_campaign(room: CampaignRoom, policy: OutcomePolicy) -> None:
    """All answers under way on them are unknown; none of these sends is taken for sent or for failed."""
    room.become(Role.WORKER)
    campaign_id = room.start_campaign(room.audience(ROWS), policy)
    room.wait_for_accepted(BEFORE_THE_FAULT)
    room.simulator.add_rule(effect="lost_connection", times=2)

    campaign = room.wait_for_end(campaign_id)

    rows = room.rows()
    unknown = [row for row in rows if unknown_sends([row])]
    assert len(unknown) >= 2
    assert campaign.state is CampaignState.COMPLETED
    expected = "sent" if policy is OutcomePolicy.AT_LEAST_ONCE else "failed"
    assert {row["status"] for row in unknown} == {expected}
    assert {row["status"] for row in rows if not unknown_sends([row])} == {"sent"}
    room.assert_invariant()


@pytest.mark.parametrize("fault", ["goaway", "goaway_unprocessed", "reset"])
def test_fault_28_connections_closed_in_a_campaign(room: CampaignRoom, fault: str) -> None:
    """Only what the server had not read is sent again, and nothing of it is taken for lost."""
    room.become(Role.WORKER)
    before = room.simulator.stats()
    if fault == "goaway":
        room.simulator.goaway_every(GOAWAY_EVERY)
    else:
        room.simulator.add_rule(effect=fault, times=CONNECTIONS_CLOSED)
    campaign_id = room.start_campaign(room.audience(ROWS))

    campaign = room.wait_for_end(campaign_id)

    after = room.simulator.stats()
    seen = after["goaways"] - before["goaways"]
    seen += after["effects"].get(fault, 0) - before["effects"].get(fault, 0)
    assert seen >= CONNECTIONS_CLOSED
    assert (campaign.state, dict(campaign.counts)) == (CampaignState.COMPLETED, {"sent": ROWS})
    assert (unknown_sends(room.rows()), room.accepted()) == (0, ROWS)
    room.assert_invariant()

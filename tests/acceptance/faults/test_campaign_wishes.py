"""Commands about a campaign that no worker hears, hears late, or hears together: they hold all the same."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from bson import ObjectId

from local_stack.local_stack_service import LocalStack
from modules.application.errors import ServiceError
from modules.application.internals import worker_runtime
from modules.campaign.campaign_service import CampaignService
from modules.campaign.errors import CampaignCommandDeferredError
from modules.campaign.types import CampaignState
from tests.support.campaign_room import CampaignRoom
from tests.support.invariant import accepted_by_target, unknown_sends

ROWS = 3_000
SLICES_AT_ONCE = 4
LATENCY_MS = 200
BEFORE_THE_STOP = 100
SLOW = {"FCM_MAX_CONCURRENT_REQUESTS": 50, "WORKER_MAX_CONCURRENT_PAGES": SLICES_AT_ONCE}
# A page then waits for its permits for minutes.
FEW_A_MINUTE = {"RATE_QUOTA_PER_MINUTE": 120}
# What goes out while the command is written and the record is read again.
MOST_MEANWHILE = 10


@pytest.fixture
def room(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> Iterator[CampaignRoom]:
    # Long enough for a worker that is there.
    monkeypatch.setattr(worker_runtime, "UPDATE_WAIT_SECONDS", 3.0)
    with CampaignRoom.opened(stack, **SLOW) as opened:
        yield opened


@pytest.fixture
def slow_room(stack: LocalStack) -> Iterator[CampaignRoom]:
    with CampaignRoom.opened(stack, **FEW_A_MINUTE) as opened:
        opened.worker()
        yield opened


def begin_and_lose_all_workers(room: CampaignRoom) -> str:
    """A campaign in its midst whose only worker was killed; returns its id."""
    room.simulator.set_latency(LATENCY_MS)
    worker = room.worker()
    campaign_id = room.start_campaign(room.audience(ROWS))
    room.wait_for_accepted(BEFORE_THE_STOP)
    worker.kill()
    return campaign_id


def test_a_cancel_while_all_workers_are_down_is_obeyed_by_the_one_that_comes_back(
    room: CampaignRoom,
) -> None:
    campaign_id = begin_and_lose_all_workers(room)

    with pytest.raises(CampaignCommandDeferredError):
        CampaignService.cancel_campaign(campaign_id=campaign_id)

    wanted = room.campaign(campaign_id)
    assert (wanted.state, wanted.wish) == (CampaignState.RUNNING, CampaignState.CANCELLED)
    accepted = room.accepted()
    room.simulator.set_latency(0)
    room.worker()
    ended = room.wait_for_end(campaign_id)
    assert (ended.state, ended.wish) == (CampaignState.CANCELLED, None)
    room.wait_until(lambda: room.probe.is_completed(f"campaign/{campaign_id}"))
    room.scan()
    assert room.accepted() == accepted
    assert sum(ended.counts.values()) == ROWS
    assert ended.counts["cancelled"] >= ROWS - SLICES_AT_ONCE * 250
    room.assert_invariant()


def test_a_pause_while_all_workers_are_down_is_obeyed_and_a_resume_tells_the_rest(
    room: CampaignRoom,
) -> None:
    room.simulator.set_latency(LATENCY_MS)
    worker = room.worker()
    campaign_id = room.start_campaign(room.audience(ROWS))
    room.wait_for_accepted(BEFORE_THE_STOP)
    worker.terminate()
    assert worker.exit_code() == 0

    with pytest.raises(CampaignCommandDeferredError):
        CampaignService.pause_campaign(campaign_id=campaign_id)

    accepted = room.accepted()
    room.simulator.set_latency(0)
    second = room.worker()
    room.wait_until(lambda: room.campaign(campaign_id).state is CampaignState.PAUSED)
    room.scan()
    assert (room.accepted(), room.campaign(campaign_id).wish) == (accepted, None)

    second.kill()
    with pytest.raises(CampaignCommandDeferredError):
        CampaignService.resume_campaign(campaign_id=campaign_id)
    assert room.campaign(campaign_id).wish is CampaignState.RUNNING
    room.worker()
    completed = room.wait_for_end(campaign_id)
    assert (completed.state, dict(completed.counts)) == (CampaignState.COMPLETED, {"sent": ROWS})
    assert set(accepted_by_target(room.audit()).values()) == {1}
    assert unknown_sends(room.rows()) == 0
    room.assert_invariant()


def test_a_rate_set_while_all_workers_are_down_holds_when_one_comes_back(room: CampaignRoom) -> None:
    campaign_id = room.start_campaign(room.audience(60))
    with pytest.raises(CampaignCommandDeferredError):
        CampaignService.set_campaign_rate(campaign_id=campaign_id, rate_per_second=20)
    assert room.campaign(campaign_id).rate_per_second == 20
    room.worker()
    completed = room.wait_for_end(campaign_id)
    assert completed.rate_per_second == 20
    moments = sorted(datetime.fromisoformat(entry["at"]) for entry in room.audit())
    assert moments[-1] - moments[0] >= timedelta(seconds=1.5), "later portions waited for their turn"
    room.assert_invariant()


def test_a_halted_campaign_without_a_worker_can_be_cancelled(room: CampaignRoom) -> None:
    worker = room.worker()
    campaign_id = room.start_campaign(room.audience(100), rate_per_second=1)
    CampaignService.pause_campaign(campaign_id=campaign_id)
    accepted = room.accepted()
    worker.kill()
    with pytest.raises(CampaignCommandDeferredError):
        CampaignService.cancel_campaign(campaign_id=campaign_id)
    room.worker()
    ended = room.wait_for_end(campaign_id)
    assert (ended.state, room.accepted()) == (CampaignState.CANCELLED, accepted)
    room.assert_invariant()


def test_a_cancel_while_permits_are_waited_for_is_heard_before_the_next_message(
    slow_room: CampaignRoom,
) -> None:
    room = slow_room
    campaign_id = room.start_campaign(room.audience(ROWS))
    room.wait_for_accepted(2)
    before = room.accepted()

    ended = CampaignService.cancel_campaign(campaign_id=campaign_id)

    accepted = room.accepted()
    assert ended.state is CampaignState.CANCELLED
    assert dict(ended.counts) == {"sent": accepted, "cancelled": ROWS - accepted}
    assert accepted - before <= MOST_MEANWHILE
    room.wait_until(lambda: room.probe.is_completed(f"campaign/{campaign_id}"))
    room.scan()
    assert room.accepted() == accepted
    assert unknown_sends(room.rows()) == 0
    room.assert_invariant()


def test_a_pause_while_permits_are_waited_for_is_heard_before_the_next_message(
    slow_room: CampaignRoom,
) -> None:
    room = slow_room
    few = 30
    campaign_id = room.start_campaign(room.audience(few))
    room.wait_for_accepted(2)
    before = room.accepted()

    paused = CampaignService.pause_campaign(campaign_id=campaign_id)

    accepted = room.accepted()
    assert (paused.state, paused.counts["sent"]) == (CampaignState.PAUSED, accepted)
    assert accepted - before <= MOST_MEANWHILE
    room.scan()
    assert room.accepted() == accepted < few
    CampaignService.resume_campaign(campaign_id=campaign_id)
    completed = room.wait_for_end(campaign_id)
    assert (completed.state, dict(completed.counts)) == (CampaignState.COMPLETED, {"sent": few})
    assert set(accepted_by_target(room.audit()).values()) == {1}
    room.assert_invariant()


def test_commands_that_come_together_leave_one_of_them(room: CampaignRoom) -> None:
    """Each is done, overtaken by another one, or too late; what the record said last is so in the end."""
    room.worker()
    campaign_id = room.start_campaign(room.audience(200), rate_per_second=1)
    commands = [CampaignService.pause_campaign, CampaignService.resume_campaign] * 4

    def given(number: int) -> str:
        try:
            commands[number](campaign_id=campaign_id)
        except ServiceError as error:
            return error.code
        return "done"

    with ThreadPoolExecutor(len(commands)) as pool:
        answers = set(pool.map(given, range(len(commands))))
    assert answers <= {"done", "campaign_overtaken", "campaign_command_deferred"}
    room.scan()
    room.wait_until(lambda: room.campaign(campaign_id).wish is None)
    with ThreadPoolExecutor(2) as pool:
        ended = pool.submit(CampaignService.cancel_campaign, campaign_id=campaign_id)
        pool.submit(given, 0).result()
    assert ended.result().state is CampaignState.CANCELLED
    room.assert_invariant()


class TestCampaignsThatCannotRun:
    def _without_its_page(self, room: CampaignRoom) -> str:
        campaign_id = room.start_campaign(room.audience(1_500))
        pages = room.collection("campaign_pages")
        pages.delete_one({"campaign_id": ObjectId(campaign_id), "number": 1})
        room.forget(campaign_id)
        return campaign_id

    def test_end_with_the_reason_and_are_not_started_again(self, room: CampaignRoom) -> None:
        campaign_id = self._without_its_page(room)
        room.worker()
        ended = room.wait_for_end(campaign_id)
        assert (ended.state, ended.reason) == (
            CampaignState.FAILED,
            "Its run cannot go on: campaign_page_not_found.",
        )
        assert ended.counts["waiting"] == 500
        assert ended.counts.get("sent", 0) == room.accepted()
        assert sum(ended.counts.values()) == 1_500
        runs = len(room.probe.run_lengths(f"campaign/{campaign_id}"))
        assert room.scan().campaigns == 0
        assert len(room.probe.run_lengths(f"campaign/{campaign_id}")) == runs

    def test_can_be_cancelled(self, room: CampaignRoom) -> None:
        campaign_id = self._without_its_page(room)
        with pytest.raises(CampaignCommandDeferredError):
            CampaignService.cancel_campaign(campaign_id=campaign_id)
        room.worker()
        ended = room.wait_for_end(campaign_id)
        assert (ended.state, dict(ended.counts)) == (
            CampaignState.CANCELLED,
            {"cancelled": 1_000, "waiting": 500},
        )
        assert room.accepted() == 0

"""What is asked of a campaign is recorded before its run is told, and holds whoever sends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from bson import ObjectId
from pymongo.errors import OperationFailure

from local_stack.local_stack_service import LocalStack
from modules.application.errors import ConflictError, UnavailableError
from modules.application.worker import RunState
from modules.campaign.campaign_service import CampaignService
from modules.campaign.errors import CampaignCommandDeferredError, CampaignFinishedError
from modules.campaign.internals.campaign_failures import MOST_RESTARTS
from modules.campaign.run_types import (
    CampaignParams,
    FailedRunParams,
    RecordedWill,
    SliceParams,
    SliceReport,
)
from modules.campaign.types import AccountList, Campaign, CampaignState, DeviceQuery, Topic
from tests.support.campaigns import CampaignRoom, campaign_room

AWAY = UnavailableError(code="temporal_unavailable", reason="not done within 60 s")
COMMANDS: dict[str, Callable[..., Campaign]] = {
    "paused": CampaignService.pause_campaign,
    "running": CampaignService.resume_campaign,
    "cancelled": CampaignService.cancel_campaign,
}


@pytest.fixture
def room(stack: LocalStack, database_name: str) -> Iterator[CampaignRoom]:
    with campaign_room(stack, database_name) as opened:
        yield opened


def names(count: int) -> list[str]:
    return [f"account-{number:05}" for number in range(count)]


def command_without_a_worker(room: CampaignRoom, campaign_id: str, kind: str) -> None:
    room.runs.refusals = [AWAY]
    with pytest.raises(CampaignCommandDeferredError):
        COMMANDS[kind](campaign_id=campaign_id)


def look(room: CampaignRoom, campaign_id: str) -> RecordedWill:
    params = CampaignParams(campaign_id=campaign_id)
    return room.push.loop_thread.run(CampaignService.look_async(params=params))


def fail(
    room: CampaignRoom, campaign_id: str, run_id: str, code: str = "away", *, final: bool = False
) -> RecordedWill:
    params = FailedRunParams(campaign_id=campaign_id, run_id=run_id, code=code, final=final)
    return room.push.loop_thread.run(CampaignService.count_failed_run_async(params=params))


def scan(room: CampaignRoom, campaign_id: str) -> bool:
    return room.push.loop_thread.run(CampaignService.start_run_async(campaign_id=campaign_id))


def deliver(room: CampaignRoom, campaign_id: str, end: int) -> SliceReport:
    params = SliceParams(campaign_id=campaign_id, page=0, start=0, end=end, rate_per_second=None)
    work = CampaignService.deliver_slice_async(params=params, stopped=asyncio.Event())
    return room.push.loop_thread.run(work)


class TestCommands:
    @pytest.mark.parametrize("kind", COMMANDS)
    def test_are_recorded_before_the_run_is_told(self, room: CampaignRoom, kind: str) -> None:
        campaign_id = room.send()
        seen: list[CampaignState | None] = []
        room.runs.on_told = lambda: seen.append(
            CampaignState(room.campaigns.find_one({"_id": ObjectId(campaign_id)})["wish"]["kind"])  # type: ignore[index]
        )
        COMMANDS[kind](campaign_id=campaign_id)
        assert seen == [kind]

    @pytest.mark.parametrize("kind", COMMANDS)
    def test_that_nobody_confirms_say_so_and_hold(self, room: CampaignRoom, kind: str) -> None:
        campaign_id = room.send()
        room.runs.refusals = [AWAY]
        with pytest.raises(CampaignCommandDeferredError) as deferred:
            COMMANDS[kind](campaign_id=campaign_id)
        error = deferred.value
        assert (error.code, error.campaign_id) == ("campaign_command_deferred", campaign_id)
        assert "recorded" in error.reason
        assert AWAY.reason in error.reason
        campaign = room.read(campaign_id)
        assert (campaign.state, campaign.wish) == (CampaignState.COLLECTING, kind)
        assert [listed.wish for listed in CampaignService.list_campaigns()] == [kind]
        assert room.runs.looks == [campaign_id], "what Temporal keeps for a worker that comes later"

    def test_hold_also_where_temporal_cannot_be_reached_at_all(self, room: CampaignRoom) -> None:
        campaign_id = room.send()
        room.runs.refusals = [AWAY]
        room.runs.away = AWAY
        with pytest.raises(CampaignCommandDeferredError):
            CampaignService.cancel_campaign(campaign_id=campaign_id)
        assert room.read(campaign_id).wish == CampaignState.CANCELLED

    def test_that_a_run_dies_on_hold(self, room: CampaignRoom) -> None:
        campaign_id = room.send()
        room.runs.refusals = [ConflictError(code="update_failed", reason="the run could not handle it")]
        with pytest.raises(CampaignCommandDeferredError):
            CampaignService.cancel_campaign(campaign_id=campaign_id)
        assert room.read(campaign_id).wish == CampaignState.CANCELLED

    def test_a_rate_that_nobody_confirms_is_recorded_and_told_later(self, room: CampaignRoom) -> None:
        campaign_id = room.send(rate_per_second=5)
        room.runs.refusals = [AWAY]
        with pytest.raises(CampaignCommandDeferredError):
            CampaignService.set_campaign_rate(campaign_id=campaign_id, rate_per_second=9)
        assert room.read(campaign_id).rate_per_second == 9
        room.runs.states[campaign_id] = RunState(run_id="r", is_open=True, has_failed=False)
        assert not scan(room, campaign_id)
        assert room.runs.looks == [campaign_id] * 2
        assert look(room, campaign_id).rate_per_second == 9
        scan(room, campaign_id)
        assert room.runs.looks == [campaign_id] * 2, "it has heard of it"

    def test_a_rate_that_is_told_needs_no_further_word(self, room: CampaignRoom) -> None:
        campaign_id = room.send(rate_per_second=5)
        CampaignService.set_campaign_rate(campaign_id=campaign_id, rate_per_second=None)
        document = room.campaigns.find_one()
        assert document is not None
        assert "rate_untold" not in document

    def test_a_rate_that_the_run_hears_before_an_older_one_is_told_again(self, room: CampaignRoom) -> None:
        campaign_id = room.send(rate_per_second=5)
        newer = {"$set": {"rate_per_second": 9.0}, "$unset": {"rate_untold": ""}}
        room.runs.on_told = lambda: room.campaigns.update_one({}, newer)
        CampaignService.set_campaign_rate(campaign_id=campaign_id, rate_per_second=7)
        assert room.runs.looks == [campaign_id]
        room.runs.states[campaign_id] = RunState(run_id="r", is_open=True, has_failed=False)
        scan(room, campaign_id)
        assert room.runs.looks == [campaign_id] * 2, "until a look has found it"
        assert look(room, campaign_id).rate_per_second == 9

    def test_a_cancel_is_not_taken_back_and_can_be_repeated(self, room: CampaignRoom) -> None:
        campaign_id = room.send()
        command_without_a_worker(room, campaign_id, "cancelled")
        for kind in ("paused", "running"):
            with pytest.raises(CampaignFinishedError) as refused:
                COMMANDS[kind](campaign_id=campaign_id)
            assert "being ended" in refused.value.reason
        with pytest.raises(CampaignFinishedError):
            CampaignService.set_campaign_rate(campaign_id=campaign_id, rate_per_second=9)
        assert room.read(campaign_id).rate_per_second is None
        command_without_a_worker(room, campaign_id, "cancelled")
        assert room.read(campaign_id).wish == CampaignState.CANCELLED

    def test_of_pause_and_resume_the_last_one_counts(self, room: CampaignRoom) -> None:
        campaign_id = room.send()
        for kind in ("paused", "running", "paused", "cancelled"):
            command_without_a_worker(room, campaign_id, kind)
            assert room.read(campaign_id).wish == kind

    def test_what_is_paused_already_needs_no_wish(self, room: CampaignRoom) -> None:
        campaign_id = room.send()
        room.record(campaign_id, "halted", "why")
        CampaignService.pause_campaign(campaign_id=campaign_id)
        assert (room.read(campaign_id).state, room.read(campaign_id).wish) == (CampaignState.HALTED, None)

    @pytest.mark.parametrize(
        ("kind", "recorded", "left"),
        [
            ("paused", "paused", None),
            ("paused", "halted", None),
            ("paused", "running", "paused"),
            ("running", "running", None),
            ("running", "collecting", None),
            ("running", "paused", "running"),
            ("cancelled", "paused", "cancelled"),
            ("cancelled", "running", "cancelled"),
            ("cancelled", "cancelled", None),
            ("cancelled", "completed", None),
        ],
    )
    def test_a_wish_is_kept_until_it_is_granted(
        self, room: CampaignRoom, kind: str, recorded: str, left: str | None
    ) -> None:
        campaign_id = room.send()
        command_without_a_worker(room, campaign_id, kind)
        room.record(campaign_id, recorded)
        assert room.read(campaign_id).wish == left
        document = room.campaigns.find_one()
        assert document is not None
        assert ("wish" in document) is (left is not None)

    def test_the_database_refuses_a_wish_for_what_cannot_be_wished(self, room: CampaignRoom) -> None:
        room.send()
        with pytest.raises(OperationFailure, match="validation"):
            room.campaigns.update_one({}, {"$set": {"wish": {"kind": "completed"}}})


class TestDelivery:
    @pytest.mark.parametrize("kind", ["paused", "cancelled"])
    def test_a_slice_sends_nothing_once_the_record_says_so(self, room: CampaignRoom, kind: str) -> None:
        accounts = names(20)
        room.register_many(accounts)
        campaign_id = room.send(AccountList(account_ids=accounts))
        command_without_a_worker(room, campaign_id, kind)
        report = deliver(room, campaign_id, 20)
        assert (report.done, report.counts, report.stopped_by_record) == (0, {}, True)
        assert room.push.accepted() == []
        assert room.rows.count_documents({}) == 0

    def test_rows_that_were_written_too_late_are_taken_out_of_delivery(self, room: CampaignRoom) -> None:
        campaign_id = room.send(AccountList(account_ids=names(2)))
        assert room.cancel_rest(campaign_id) == {"cancelled": 2}
        room.record(campaign_id, "cancelled")
        room.write_row(campaign_id, names(2)[1])
        assert deliver(room, campaign_id, 2).done == 0
        assert room.rows.count_documents({"active": True}) == 0
        assert room.read(campaign_id).counts == {"cancelled": 2}

    def test_a_paused_campaigns_rows_are_left_as_they_are(self, room: CampaignRoom) -> None:
        campaign_id = room.send(AccountList(account_ids=names(2)))
        room.write_row(campaign_id, names(2)[1])
        command_without_a_worker(room, campaign_id, "paused")
        assert deliver(room, campaign_id, 2).counts == {"pending": 1}
        assert room.rows.count_documents({"active": True}) == 1

    def test_a_topic_is_not_sent_to_either(self, room: CampaignRoom) -> None:
        campaign_id = room.send(Topic(name=f"{room.push.mark}-news"))
        command_without_a_worker(room, campaign_id, "cancelled")
        assert deliver(room, campaign_id, 1).stopped_by_record
        assert room.push.accepted() == []

    def test_a_pause_that_was_taken_back_lets_everybody_be_told(self, room: CampaignRoom) -> None:
        accounts = names(20)
        room.register_many(accounts)
        campaign_id = room.send(AccountList(account_ids=accounts))
        command_without_a_worker(room, campaign_id, "paused")
        command_without_a_worker(room, campaign_id, "running")
        report = deliver(room, campaign_id, 20)
        assert (report.done, report.counts, report.stopped_by_record) == (20, {"sent": 20}, False)

    def test_a_wish_that_comes_between_chunks_is_seen_by_the_next(self, room: CampaignRoom) -> None:
        accounts = names(600)
        room.register_many(accounts)
        campaign_id = room.send(AccountList(account_ids=accounts))
        now, chunks = room.read(campaign_id).created_at, 0

        def second_chunk() -> None:
            nonlocal chunks
            chunks += 1
            if chunks == 2:
                wish = {"kind": "cancelled", "at": now, "reason": None}
                room.campaigns.update_one({}, {"$set": {"wish": wish}})

        room.runs.on_open = second_chunk
        report = deliver(room, campaign_id, 600)
        assert (report.done, report.counts, report.stopped_by_record) == (250, {"sent": 250}, True)


class TestRuns:
    @pytest.mark.parametrize("kind", COMMANDS)
    def test_one_that_starts_anew_is_told_by_its_first_step(self, room: CampaignRoom, kind: str) -> None:
        campaign_id = room.send()
        assert room.collect(campaign_id).wish is None
        command_without_a_worker(room, campaign_id, kind)
        assert room.collect(campaign_id).wish == kind
        assert look(room, campaign_id).wish == kind

    def test_a_search_that_is_to_be_cancelled_is_read_no_further(self, room: CampaignRoom) -> None:
        room.register_many(names(3))
        campaign_id = room.send(DeviceQuery())
        command_without_a_worker(room, campaign_id, "cancelled")
        collected = room.collect(campaign_id)
        assert (collected.complete, collected.pages, collected.wish) == (False, 0, "cancelled")
        assert room.cancel_rest(campaign_id) == {}
        room.record(campaign_id, "cancelled")
        assert room.read(campaign_id).state == CampaignState.CANCELLED

    def test_one_under_way_is_told_by_the_scan_of_what_it_may_not_know(self, room: CampaignRoom) -> None:
        campaign_id = room.send()
        room.runs.states[campaign_id] = RunState(run_id="r", is_open=True, has_failed=False)
        started = len(room.runs.started)
        assert not scan(room, campaign_id)
        assert room.runs.looks == []
        command_without_a_worker(room, campaign_id, "paused")
        assert not scan(room, campaign_id)
        assert (room.runs.looks, len(room.runs.started)) == ([campaign_id] * 2, started)

    @pytest.mark.parametrize("failed", [False, None])
    def test_one_that_was_lost_is_started_as_often_as_need_be(
        self, room: CampaignRoom, failed: bool | None
    ) -> None:
        campaign_id = room.send()
        for number in range(MOST_RESTARTS * 2):
            if failed is not None:
                state = RunState(run_id=str(number), is_open=False, has_failed=failed)
                room.runs.states[campaign_id] = state
            assert scan(room, campaign_id)
        assert room.read(campaign_id).wish is None

    def test_after_some_that_failed_the_next_one_only_ends_the_campaign(self, room: CampaignRoom) -> None:
        campaign_id = room.send()
        for number in range(MOST_RESTARTS + 1):
            assert room.read(campaign_id).wish is None
            room.runs.states[campaign_id] = RunState(run_id=str(number), is_open=False, has_failed=True)
            assert scan(room, campaign_id)
            assert scan(room, campaign_id), "the same run is counted once"
        will = look(room, campaign_id)
        assert (will.wish, will.wish_reason) == (
            "failed",
            "6 of its runs failed, the last one with run_failed.",
        )
        collected = room.collect(campaign_id)
        assert (collected.wish, collected.wish_reason) == (will.wish, will.wish_reason)
        assert deliver(room, campaign_id, 2).stopped_by_record
        assert room.cancel_rest(campaign_id) == {"cancelled": 2}
        room.record(campaign_id, "failed", will.wish_reason)
        ended = room.read(campaign_id)
        assert (ended.state, ended.reason, ended.wish) == (CampaignState.FAILED, will.wish_reason, None)
        assert (dict(ended.counts), ended.finished_at is not None) == ({"cancelled": 2}, True)
        assert room.unfinished() == []
        assert not scan(room, campaign_id)

    def test_what_a_run_said_of_its_failure_is_kept(self, room: CampaignRoom) -> None:
        campaign_id = room.send()
        for number in range(MOST_RESTARTS):
            assert fail(room, campaign_id, str(number)).wish is None
        assert fail(room, campaign_id, "last", "heartbeat_lost").wish == "failed"
        room.runs.states[campaign_id] = RunState(run_id="last", is_open=False, has_failed=True)
        assert scan(room, campaign_id)
        assert (
            look(room, campaign_id).wish_reason == "6 of its runs failed, the last one with heartbeat_lost."
        )

    def test_one_that_fails_for_ever_ends_the_campaign_at_once(self, room: CampaignRoom) -> None:
        campaign_id = room.send()
        will = fail(room, campaign_id, "r", "campaign_page_not_found", final=True)
        assert (will.wish, will.wish_reason) == (
            "failed",
            "Its run cannot go on: campaign_page_not_found.",
        )

    def test_one_that_fails_while_the_campaign_is_to_be_cancelled_lets_it_be(
        self, room: CampaignRoom
    ) -> None:
        campaign_id = room.send()
        command_without_a_worker(room, campaign_id, "cancelled")
        assert fail(room, campaign_id, "r", "campaign_page_not_found", final=True).wish == "cancelled"

    def test_that_a_campaign_is_to_end_as_failed_refuses_commands(self, room: CampaignRoom) -> None:
        campaign_id = room.send()
        fail(room, campaign_id, "r", final=True)
        for command in COMMANDS.values():
            with pytest.raises(CampaignFinishedError):
                command(campaign_id=campaign_id)


class TestLostPages:
    def test_a_campaign_with_one_is_cancelled_all_the_same(self, room: CampaignRoom) -> None:
        campaign_id = room.send(AccountList(account_ids=names(2_500)))
        for page, account_id in ((0, "account-00000"), (1, "account-01000"), (2, "account-02000")):
            room.write_row(campaign_id, account_id, page=page)
        other = room.send(AccountList(account_ids=names(1_500)), key="other")
        room.write_row(other, "account-01000", page=1)
        room.pages.delete_many({"campaign_id": ObjectId(campaign_id), "number": {"$in": [1, 2]}})
        assert room.cancel_rest(campaign_id) == {"cancelled": 1_000}
        room.record(campaign_id, "cancelled")
        assert room.rows.count_documents({"campaign.id": ObjectId(campaign_id), "active": True}) == 0
        assert room.rows.count_documents({"campaign.id": ObjectId(other), "active": True}) == 1
        # Nobody knows any more who they are.
        assert room.read(campaign_id).counts == {"cancelled": 1_000, "waiting": 1_500}

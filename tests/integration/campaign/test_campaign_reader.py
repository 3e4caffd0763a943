"""Where campaigns stand, on a real MongoDB: counts, states, control, dry runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import OperationFailure

from local_stack.local_stack_service import LocalStack
from modules.account.account_service import AccountService
from modules.application.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    UnreadableRecordError,
)
from modules.campaign.campaign_service import CampaignService
from modules.campaign.errors import CampaignDryRunError, CampaignFinishedError, CampaignNotFoundError
from modules.campaign.types import AccountList, CampaignState, DeviceQuery, Topic
from modules.device_token.types import Platform
from modules.notification.internals.store.rows.bulk_rows import bulk_row_id
from modules.preference.preference_service import PreferenceService
from tests.support.campaigns import CampaignRoom, campaign_room
from tests.support.process_logs import capture_logs

FINAL = ("cancelled", "completed", "planned", "failed")


@pytest.fixture
def room(stack: LocalStack, database_name: str) -> Iterator[CampaignRoom]:
    with campaign_room(stack, database_name) as opened:
        yield opened


def names(count: int) -> list[str]:
    return [f"account-{number:05}" for number in range(count)]


def final_row(status: str, **over: Any) -> dict[str, Any]:
    return {
        "status": status,
        "last_transition": {"source": "processing", "target": status},
        "finished_at": datetime.now(UTC),
        **over,
    }


class TestCounts:
    def test_sums_over_pages_are_the_campaigns_counts(self, room: CampaignRoom) -> None:
        campaign_id = room.send(AccountList(account_ids=names(2_500)))
        for number, tally in enumerate(
            ({"sent": 990, "failed:UNREGISTERED": 10}, {"sent": 5, "pending": 3, "failed:a.$b": 1})
        ):
            room.pages.update_one(
                {"campaign_id": ObjectId(campaign_id), "number": number}, {"$set": {"tally": tally}}
            )
        campaign = room.read(campaign_id)
        assert campaign.counts == {"sent": 995, "pending": 3, "failed": 11, "waiting": 1_491}
        assert campaign.failures == {"UNREGISTERED": 10, "a.$b": 1}
        assert room.counts(campaign_id) == {
            "sent": 995,
            "pending": 3,
            "failed:UNREGISTERED": 10,
            "failed:a.$b": 1,
        }

    def test_are_read_from_an_index_without_the_account_ids(self, room: CampaignRoom) -> None:
        campaign_id = room.send(AccountList(account_ids=names(3_000)))
        database = room.pages.database
        database.command("profile", 2)
        room.read(campaign_id)
        database.command("profile", 0)
        [entry] = database["system.profile"].find({"ns": room.pages.full_name})
        assert entry["planSummary"] == "IXSCAN { campaign_id: 1, tally: 1 }"
        assert (entry["keysExamined"], entry["docsExamined"]) == (3, 0)

    def test_campaigns_are_listed_newest_first(self, room: CampaignRoom) -> None:
        ids = [room.send(key=f"key-{number}") for number in range(3)]
        room.pages.update_one({"campaign_id": ObjectId(ids[1])}, {"$set": {"tally": {"sent": 2}}})
        listed = CampaignService.list_campaigns(limit=2)
        assert [campaign.id for campaign in listed] == [ids[2], ids[1]]
        assert [campaign.counts for campaign in listed] == [{"waiting": 2}, {"sent": 2}]
        [oldest] = CampaignService.list_campaigns(before=listed[-1].created_at)
        assert oldest.id == ids[0]

    def test_one_of_another_version_is_refused_by_name_and_left_out_of_listings(
        self, room: CampaignRoom
    ) -> None:
        ids = [room.send(key=f"key-{number}") for number in range(3)]
        room.campaigns.update_one({"_id": ObjectId(ids[1])}, {"$set": {"added_later": "a secret"}})
        with capture_logs() as logs:
            assert [campaign.id for campaign in CampaignService.list_campaigns()] == [ids[2], ids[0]]
        [entry] = logs
        assert (entry["action"], entry["id"], entry["fields"]) == (
            "campaign.unreadable",
            ids[1],
            ["added_later"],
        )
        with pytest.raises(UnreadableRecordError) as refused:
            CampaignService.get_campaign(campaign_id=ids[1])
        assert str(refused.value) == (
            "record_unreadable: this version cannot read the stored record (added_later)"
        )

    @pytest.mark.parametrize(
        "over",
        [
            {"limit": 0},
            {"limit": 101},
            {"limit": True},
            {"before": "now"},
            # No zone can be told of it.
            {"before": datetime.min},
        ],
    )
    def test_a_listing_that_makes_no_sense_is_refused(self, room: CampaignRoom, over: dict[str, Any]) -> None:
        with pytest.raises(InvalidInputError):
            CampaignService.list_campaigns(**over)


class TestCancellingTheRest:
    def test_takes_pending_rows_out_of_delivery_and_counts_all(self, room: CampaignRoom) -> None:
        accounts = names(1_500)
        campaign_id = room.send(AccountList(account_ids=[*accounts, accounts[0]]))
        room.write_row(campaign_id, accounts[0], **final_row("sent"))
        room.write_row(campaign_id, accounts[1], **final_row("failed", error_type="no_active_devices"))
        room.write_row(campaign_id, accounts[2])
        room.write_row(campaign_id, accounts[1_000], page=1)
        counts = room.cancel_rest(campaign_id)
        assert counts == {"sent": 1, "failed:no_active_devices": 1, "cancelled": 1_498, "duplicate": 1}
        for account_id in (accounts[2], accounts[1_000]):
            row = room.rows.find_one({"_id": bulk_row_id(ObjectId(campaign_id), account_id)})
            assert row is not None
            assert (row["status"], row["active"], "due_at" in row) == ("pending", False, False)
            assert row["events"][-1]["event"] == "cancelled"
        assert room.cancel_rest(campaign_id) == counts
        room.record(campaign_id, "cancelled")
        campaign = room.read(campaign_id)
        assert sum(campaign.counts.values()) == campaign.accounts == 1_501
        assert campaign.counts["cancelled"] == 1_498

    def test_leaves_other_campaigns_alone(self, room: CampaignRoom) -> None:
        first, second = room.send(key="one"), room.send(key="two")
        room.write_row(second, "a")
        assert room.cancel_rest(first) == {"cancelled": 2}
        row = room.rows.find_one()
        assert row is not None
        assert row["active"]


class TestStates:
    def test_a_state_and_its_reason_are_recorded(self, room: CampaignRoom) -> None:
        campaign_id = room.send()
        room.record(campaign_id, "halted", "$reason")
        campaign = room.read(campaign_id)
        assert (campaign.state, campaign.reason) == (CampaignState.HALTED, "$reason")
        assert campaign.updated_at > campaign.created_at
        room.record(campaign_id, "running")
        assert (room.read(campaign_id).state, room.read(campaign_id).reason) == ("running", None)

    @pytest.mark.parametrize("final", FINAL)
    def test_a_final_state_stays_and_leaves_all_to_retention(self, room: CampaignRoom, final: str) -> None:
        campaign_id = room.send(AccountList(account_ids=names(1_500)))
        room.record(campaign_id, final, "why")
        ended = room.read(campaign_id)
        for state in CampaignState:
            room.record(campaign_id, state.value)
        assert room.read(campaign_id) == ended
        assert (ended.state, ended.reason) == (final, "why")
        assert ended.finished_at is not None
        assert room.pages.count_documents({"finished_at": {"$type": "date"}}) == 2
        assert room.unfinished() == []

    def test_unfinished_are_those_in_no_final_state(self, room: CampaignRoom) -> None:
        ids = {state: room.send(key=state.value) for state in CampaignState}
        for state, campaign_id in ids.items():
            room.record(campaign_id, state.value)
        assert set(room.unfinished()) == {ids[state] for state in CampaignState if state.value not in FINAL}

    def test_the_database_refuses_a_final_state_without_its_end(self, room: CampaignRoom) -> None:
        room.send()
        for change in ({"state": "completed"}, {"state": "lost"}, {"finished_at": datetime.now(UTC)}):
            with pytest.raises(OperationFailure, match="validation"):
                room.campaigns.update_one({}, {"$set": change})

    def test_unknown_campaigns_are_an_error(self, room: CampaignRoom) -> None:
        for unknown in ("0" * 24, "nonsense"):
            with pytest.raises(CampaignNotFoundError):
                room.read(unknown)
            with pytest.raises(CampaignNotFoundError):
                room.record(unknown, "running")
            with pytest.raises(CampaignNotFoundError):
                room.cancel_rest(unknown)


class TestControl:
    def test_is_handed_to_the_run(self, room: CampaignRoom) -> None:
        campaign_id = room.send()
        CampaignService.pause_campaign(campaign_id=campaign_id)
        CampaignService.resume_campaign(campaign_id=campaign_id)
        changed = CampaignService.set_campaign_rate(campaign_id=campaign_id, rate_per_second=12)
        assert CampaignService.cancel_campaign(campaign_id=campaign_id).id == campaign_id
        assert room.runs.told == [
            (campaign_id, "pause", None),
            (campaign_id, "resume", None),
            (campaign_id, "set_rate", 12),
            (campaign_id, "cancel", None),
        ]
        assert changed.rate_per_second == room.collect(campaign_id).rate_per_second == 12

    def test_a_campaign_without_a_run_gets_one_first(self, room: CampaignRoom) -> None:
        campaign_id = room.send()
        room.runs.refusals = [NotFoundError(code="worker_not_running", reason="")]
        CampaignService.cancel_campaign(campaign_id=campaign_id)
        assert [run.campaign_id for run in room.runs.started] == [campaign_id, campaign_id]
        assert [update for _, update, _ in room.runs.told] == ["cancel", "cancel"]

    def test_what_the_run_refuses_is_refused(self, room: CampaignRoom) -> None:
        campaign_id = room.send(rate_per_second=5)
        room.runs.refusals = [ConflictError(code="campaign_overtaken", reason="")]
        with pytest.raises(ConflictError) as refused:
            CampaignService.resume_campaign(campaign_id=campaign_id)
        assert refused.value.code == "campaign_overtaken"
        room.runs.refusals = [ConflictError(code="campaign_ended", reason="")]
        with pytest.raises(CampaignFinishedError):
            CampaignService.set_campaign_rate(campaign_id=campaign_id, rate_per_second=9)
        assert room.read(campaign_id).rate_per_second == 5

    def test_finished_dry_and_unknown_campaigns_are_not_controlled(self, room: CampaignRoom) -> None:
        finished, dry = room.send(), room.send(key="dry", dry_run=True)
        room.record(finished, "completed")
        for campaign_id, error in (
            (finished, CampaignFinishedError),
            (dry, CampaignDryRunError),
            ("0" * 24, CampaignNotFoundError),
        ):
            for control in (
                CampaignService.pause_campaign,
                CampaignService.resume_campaign,
                CampaignService.cancel_campaign,
            ):
                with pytest.raises(error):
                    control(campaign_id=campaign_id)
        assert room.runs.told == []

    def test_a_cancelled_campaign_can_be_cancelled_again(self, room: CampaignRoom) -> None:
        campaign_id = room.send()
        room.record(campaign_id, "cancelled")
        again = CampaignService.cancel_campaign(campaign_id=campaign_id)
        assert (again.id, again.state) == (campaign_id, CampaignState.CANCELLED)
        with pytest.raises(CampaignFinishedError):
            CampaignService.resume_campaign(campaign_id=campaign_id)

    def test_one_that_ends_while_it_is_told_gets_no_other_run(self, room: CampaignRoom) -> None:
        campaign_id = room.send()
        room.runs.refusals = [NotFoundError(code="worker_not_running", reason="")]
        room.runs.on_told = lambda: room.campaigns.update_one(
            {"_id": ObjectId(campaign_id)},
            {"$set": {"state": "completed", "finished_at": datetime.now(UTC)}},
        )
        with pytest.raises(CampaignFinishedError):
            CampaignService.cancel_campaign(campaign_id=campaign_id)
        assert [run.campaign_id for run in room.runs.started] == [campaign_id]

    def test_the_rate_of_a_broadcast_cannot_be_changed(self, room: CampaignRoom) -> None:
        campaign_id = room.send(Topic(name="news"))
        with pytest.raises(InvalidInputError) as refused:
            CampaignService.set_campaign_rate(campaign_id=campaign_id, rate_per_second=5)
        assert [problem.field for problem in refused.value.problems] == ["rate_per_second"]
        assert room.runs.told == []

    @pytest.mark.parametrize("rate", [0, -1, float("nan"), "7", True])
    def test_a_rate_that_is_none_is_refused(self, room: CampaignRoom, rate: Any) -> None:
        with pytest.raises(InvalidInputError):
            CampaignService.set_campaign_rate(campaign_id=room.send(), rate_per_second=rate)
        assert room.runs.told == []


class TestDryRun:
    @pytest.fixture
    def people(self, room: CampaignRoom) -> list[str]:
        """Two with devices that FCM takes, one whose it does not, one without, one that does not want it."""
        for account_id in ("ana", "ana", "out"):
            room.push.register(account_id=account_id)
        room.push.register("UNREGISTERED", account_id="bob", platform=Platform.IOS)
        AccountService.upsert_account(account_id="ana", locale="pt-BR")
        PreferenceService.set_preference(account_id="out", category="general", allowed=False)
        return ["ana", "bob", "none", "out"]

    def test_says_who_would_be_told_where_and_what_fcm_thinks_of_it(
        self, room: CampaignRoom, people: list[str]
    ) -> None:
        before = room.push.simulator.position()
        campaign = room.plan(room.send(AccountList(account_ids=people), dry_run=True))
        plan = campaign.plan
        assert plan is not None
        assert (campaign.state, campaign.accounts, campaign.counts) == (CampaignState.PLANNED, 4, {})
        assert campaign.finished_at is not None
        assert (plan.accounts, plan.devices) == (4, 3)
        assert plan.platforms == {"android": 2, "ios": 1}
        assert plan.locales == {"pt-BR": 1, "en": 1}
        assert plan.suppressed == {"no_active_devices": 1, "preference_opted_out": 1}
        assert sum(plan.sample.values()) == 2
        assert plan.sample.get("UNREGISTERED") == 1
        assert 100 < plan.payload_bytes < 4_096
        assert room.push.accepted(before) == []
        assert room.rows.count_documents({}) == room.pages.count_documents({}) == 0

    def test_of_a_search_stores_no_page(self, room: CampaignRoom, people: list[str]) -> None:
        plan = room.plan(room.send(DeviceQuery(), dry_run=True)).plan
        assert plan is not None
        assert (plan.accounts, plan.suppressed) == (3, {"preference_opted_out": 1})
        assert room.pages.count_documents({}) == 0

    def test_counts_devices_of_the_contents_app_alone(self, room: CampaignRoom, people: list[str]) -> None:
        room.push.register(account_id="bob", app_id="shop")
        plan = room.plan(room.send(DeviceQuery(), dry_run=True, app_id="shop")).plan
        assert plan is not None
        assert (plan.accounts, plan.devices) == (3, 1)
        assert plan.suppressed == {"no_active_devices": 1, "preference_opted_out": 1}
        assert plan.sample == {"APP_UNKNOWN": 1}

    def test_samples_ten_targets_of_many(self, room: CampaignRoom) -> None:
        room.register_many(names(1_200))
        plan = room.plan(room.send(AccountList(account_ids=names(1_300)), dry_run=True)).plan
        assert plan is not None
        assert (plan.accounts, plan.devices, plan.suppressed) == (1_300, 1_200, {"no_active_devices": 100})
        assert sum(plan.sample.values()) == 10

    def test_of_a_topic_asks_fcm_about_the_topic(self, room: CampaignRoom) -> None:
        before = room.push.simulator.position()
        plan = room.plan(room.send(Topic(name="news"), dry_run=True)).plan
        assert plan is not None
        assert (plan.accounts, plan.devices, sum(plan.sample.values())) == (1, 0, 1)
        assert [entry for entry in room.push.simulator.audit(before) if entry["target"] == "news"] == []

    def test_repeated_changes_nothing(self, room: CampaignRoom, people: list[str]) -> None:
        campaign_id = room.send(DeviceQuery(), dry_run=True)
        first = room.plan(campaign_id)
        room.push.register(account_id="late")
        assert room.plan(campaign_id) == first

    def test_is_for_dry_runs_alone(self, room: CampaignRoom) -> None:
        campaign_id = room.send()
        with pytest.raises(ConflictError):
            room.plan(campaign_id)
        assert room.read(campaign_id).state == CampaignState.COLLECTING
        assert room.pages.count_documents({}) == 1

    def test_before_it_expires(self, room: CampaignRoom) -> None:
        plan = room.plan(room.send(dry_run=True, expires_at=datetime.now(UTC) + timedelta(hours=1))).plan
        assert plan is not None
        assert plan.suppressed == {"no_active_devices": 2}
        assert plan.sample == {}

"""Collecting an audience on a real MongoDB: full pages, once and for all, whoever asks how often."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local_stack.local_stack_service import LocalStack
from modules.account.account_service import AccountService
from modules.campaign.campaign_service import CampaignService
from modules.campaign.errors import CampaignDryRunError, CampaignFinishedError, CampaignNotFoundError
from modules.campaign.internals import campaign_audience
from modules.campaign.run_types import Collected, CollectParams
from modules.campaign.types import AccountList, DeviceQuery, Rollout, Topic, TopicCondition
from modules.device_token.types import Platform
from tests.support.campaigns import CampaignRoom, campaign_room

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def room(stack: LocalStack, database_name: str) -> Iterator[CampaignRoom]:
    with campaign_room(stack, database_name) as opened:
        yield opened


def names(count: int) -> list[str]:
    return [f"account-{number:05}" for number in range(count)]


@pytest.fixture
def people(room: CampaignRoom) -> None:
    """Accounts that differ in one thing each."""
    room.register_many(["plain", "beta", "german"])
    room.register_many(["ios"], platform="ios")
    room.register_many(["shop"], app_id="shop")
    room.register_many(["idle"], last_seen_at=LONG_AGO)
    room.register_many(["gone"], state="inactive")
    room.register_many(["refused"], state="quarantined")
    AccountService.upsert_account(account_id="beta", tags=["beta", "gold"])
    AccountService.upsert_account(account_id="german", locale="de")
    AccountService.upsert_account(account_id="homeless", locale="de", tags=["beta"])


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        (DeviceQuery(), ["beta", "german", "idle", "ios", "plain", "shop"]),
        (DeviceQuery(platforms=(Platform.IOS,)), ["ios"]),
        (DeviceQuery(platforms=(Platform.WEB,)), []),
        (DeviceQuery(app_id="shop"), ["shop"]),
        (DeviceQuery(tags=("gold", "none")), ["beta"]),
        (DeviceQuery(locales=("de",)), ["german"]),
        (DeviceQuery(locales=("en",)), ["beta", "idle", "ios", "plain", "shop"]),
        (DeviceQuery(locales=("de", "en"), tags=("beta",)), ["beta"]),
        (DeviceQuery(last_seen_before=LONG_AGO + timedelta(days=1)), ["idle"]),
        (DeviceQuery(last_seen_after=LONG_AGO, locales=("de",)), ["german"]),
        (DeviceQuery(platforms=(Platform.IOS,), app_id="shop"), []),
    ],
)
def test_a_search_finds_who_has_a_matching_device_and_matches(
    room: CampaignRoom, query: DeviceQuery, found: list[str]
) -> None:
    campaign_id = room.send(query)
    assert room.read(campaign_id).accounts is None
    collected = room.collect(campaign_id)
    assert collected == Collected(accounts=len(found), pages=1 if found else 0, complete=True)
    assert [name for page in room.stored_pages(campaign_id) for name in page] == found
    assert room.read(campaign_id).accounts == len(found)


@pytest.mark.parametrize("count", [999, 1_000, 1_001, 3_000])
def test_all_pages_but_the_last_one_are_full(room: CampaignRoom, count: int) -> None:
    room.register_many(names(count))
    campaign_id = room.send(DeviceQuery())
    assert room.collect(campaign_id).accounts == count
    stored = room.stored_pages(campaign_id)
    assert [name for page in stored for name in page] == names(count)
    assert all(len(page) == 1_000 for page in stored[:-1])


def test_pages_are_full_also_where_few_of_many_match(room: CampaignRoom) -> None:
    room.register_many(names(4_500))
    recorded = room.campaigns.database["accounts"]
    now = datetime.now(UTC)
    account = {"locale": "de", "time_zone": "UTC", "created_at": now, "updated_at": now}
    recorded.insert_many({"_id": name, **account} for name in names(4_500)[::3])
    campaign_id = room.send(DeviceQuery(locales=("de",)))
    assert room.collect(campaign_id).accounts == 1_500
    assert [len(page) for page in room.stored_pages(campaign_id)] == [1_000, 500]
    assert [name for page in room.stored_pages(campaign_id) for name in page] == names(4_500)[::3]


@pytest.fixture
def two_pages_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign_audience, "PAGES_A_CALL", 2)


@pytest.mark.usefixtures("two_pages_a_call")
class TestByCalls:
    def test_each_call_goes_on_where_the_last_one_ended(self, room: CampaignRoom) -> None:
        room.register_many(names(4_200))
        campaign_id = room.send(DeviceQuery())
        calls = [room.collect(campaign_id, first_page) for first_page in (0, 2, 4)]
        assert [(call.pages, call.accounts, call.complete) for call in calls] == [
            (2, 2_000, False),
            (4, 4_000, False),
            (5, 4_200, True),
        ]
        assert [name for page in room.stored_pages(campaign_id) for name in page] == names(4_200)

    def test_a_repeated_call_keeps_what_the_first_one_wrote(self, room: CampaignRoom) -> None:
        room.register_many(names(2_500))
        campaign_id = room.send(DeviceQuery())
        first = room.collect(campaign_id)
        room.register_many(["account-00000-late", "account-02400-late"])
        assert room.collect(campaign_id) == first
        assert room.collect(campaign_id, 2).accounts == 2_501
        stored = [name for page in room.stored_pages(campaign_id) for name in page]
        assert "account-00000-late" not in stored
        assert "account-02400-late" in stored

    def test_a_call_that_died_between_pages_is_gone_on_with(self, room: CampaignRoom) -> None:
        room.register_many(names(2_500))
        campaign_id = room.send(DeviceQuery())
        room.collect(campaign_id)
        room.pages.delete_one({"number": 1})
        assert room.collect(campaign_id).pages == 2
        assert room.collect(campaign_id, 2).complete
        assert [name for page in room.stored_pages(campaign_id) for name in page] == names(2_500)

    async def test_calls_side_by_side_write_each_page_once(self, room: CampaignRoom) -> None:
        room.register_many(names(3_500))
        campaign_id = room.send(DeviceQuery())
        for first_page in (0, 2):
            params = CollectParams(campaign_id=campaign_id, first_page=first_page)
            calls = [CampaignService.collect_audience_async(params=params) for _ in range(8)]
            assert len({call.pages for call in await asyncio.gather(*calls)}) == 1
        assert [name for page in room.stored_pages(campaign_id) for name in page] == names(3_500)
        assert room.read(campaign_id).accounts == 3_500


def test_a_complete_audience_stays_as_it_is(room: CampaignRoom) -> None:
    room.register_many(names(1_000))
    campaign_id = room.send(DeviceQuery())
    first = room.collect(campaign_id)
    room.register_many(["late"])
    assert (first.accounts, first.complete) == (1_000, True)
    assert room.collect(campaign_id) == first
    assert room.collect(campaign_id, 1) == first


@pytest.mark.parametrize(
    ("audience", "accounts"),
    [
        (AccountList(account_ids=names(2_100)), 2_100),
        (Topic(name="news", app_id="shop"), 1),
        (TopicCondition(expression="'a' in topics && 'b' in topics"), 1),
    ],
    ids=["list", "topic", "condition"],
)
def test_what_is_not_searched_is_complete_at_once(room: CampaignRoom, audience: Any, accounts: int) -> None:
    campaign_id = room.send(audience)
    pages = -(-accounts // 1_000)
    assert room.collect(campaign_id) == Collected(accounts=accounts, pages=pages, complete=True)


def test_a_topic_is_the_target_of_one_row(room: CampaignRoom) -> None:
    campaign_id = room.send(Topic(name="news", app_id="shop"))
    assert room.stored_pages(campaign_id) == [["topic"]]
    (campaign,) = room.campaigns.find()
    assert campaign["content"]["broadcast"] == {"kind": "topic", "address": "news", "app_id": "shop"}


def test_a_list_recorded_by_a_caller_that_died_then_is_kept(room: CampaignRoom) -> None:
    campaign_id = room.send(AccountList(account_ids=names(1_500)))
    room.pages.update_many({}, {"$set": {"finished_at": datetime.now(UTC)}})
    assert room.collect(campaign_id).complete
    assert room.pages.count_documents({"finished_at": {"$exists": True}}) == 0


def test_a_run_is_told_what_the_record_says(room: CampaignRoom) -> None:
    campaign_id = room.send(
        AccountList(account_ids=names(1_234)),
        rate_per_second=40,
        rollout=Rollout(steps=(0.01, 1, 50, 100), max_error_rate=0.2, max_p95_ms=700),
    )
    collected = room.collect(campaign_id)
    assert collected.rollout is not None
    assert collected.rollout.step_ends == [1, 13, 617, 1_234]
    assert (collected.rollout.max_error_rate, collected.rollout.max_p95_ms) == (0.2, 700)
    assert (collected.rate_per_second, collected.paused, collected.pause_reason) == (40, False, None)
    room.record(campaign_id, "paused", "by hand")
    assert (room.collect(campaign_id).paused, room.collect(campaign_id).pause_reason) == (True, None)
    room.record(campaign_id, "halted", "too many errors")
    halted = room.collect(campaign_id)
    assert (halted.paused, halted.pause_reason) == (True, "too many errors")


def test_a_finished_a_dry_and_an_unknown_campaign_have_nothing_to_collect(room: CampaignRoom) -> None:
    finished = room.send()
    room.record(finished, "completed")
    with pytest.raises(CampaignFinishedError):
        room.collect(finished)
    with pytest.raises(CampaignDryRunError):
        room.collect(room.send(key="dry", dry_run=True))
    for unknown in ("0" * 24, "nonsense", ""):
        with pytest.raises(CampaignNotFoundError):
            room.collect(unknown)

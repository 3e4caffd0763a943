"""Accepting campaigns on a real MongoDB: recorded once, a list stored by pages, or nothing left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from local_stack.local_stack_service import LocalStack
from modules.application.errors import InvalidInputError, NotBootstrappedError, UnavailableError
from modules.campaign.campaign_service import CampaignService
from modules.campaign.errors import CampaignDeferredError, CampaignKeyConflictError
from modules.campaign.internals.store.campaign_page_repository import CampaignPageRepository
from modules.campaign.types import (
    AccountList,
    CampaignState,
    DeviceQuery,
    Rollout,
    Topic,
    TopicCondition,
)
from modules.device_token.types import Platform
from tests.support.campaigns import CampaignRoom, campaign_room
from tests.support.push_service import make_params

HOUR = timedelta(hours=1)
MANY = [f"account-{number:05}" for number in range(2_500)]


@pytest.fixture
def room(stack: LocalStack, database_name: str) -> Iterator[CampaignRoom]:
    with campaign_room(stack, database_name) as opened:
        yield opened


def nothing_is_left(room: CampaignRoom) -> bool:
    return room.campaigns.count_documents({}) == room.pages.count_documents({}) == 0


def test_a_list_is_stored_by_pages_in_its_order(room: CampaignRoom) -> None:
    names = [*reversed(MANY), "account-00000", "z"]
    campaign_id = room.send(AccountList(account_ids=names))
    stored = room.stored_pages(campaign_id)
    assert [len(page) for page in stored] == [1_000, 1_000, 502]
    assert [name for page in stored for name in page] == names
    campaign = room.read(campaign_id)
    assert (campaign.state, campaign.accounts, campaign.counts) == (
        CampaignState.COLLECTING,
        2_502,
        {"waiting": 2_502},
    )
    assert [run.campaign_id for run in room.runs.started] == [campaign_id]


def test_pages_of_a_campaign_are_not_left_to_retention(room: CampaignRoom) -> None:
    room.send(AccountList(account_ids=MANY))
    assert room.pages.count_documents({"finished_at": {"$exists": True}}) == 0


def test_a_campaign_that_is_recorded_has_its_id_though_its_pages_cannot_be_kept_now(
    room: CampaignRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: CampaignPageRepository, __: ObjectId) -> None:
        raise UnavailableError(code="database_unavailable", reason="MongoDB did not answer")

    with monkeypatch.context() as patched:
        patched.setattr(CampaignPageRepository, "keep", away)
        campaign_id = room.send(AccountList(account_ids=["a", "b"]))
    assert [params.campaign_id for params in room.runs.started] == [campaign_id]
    room.collect(campaign_id)
    assert room.pages.count_documents({"finished_at": {"$exists": True}}) == 0


@pytest.mark.parametrize("kind", [iter, tuple, set, frozenset, lambda names: (name for name in names)])
def test_any_iterable_is_taken(room: CampaignRoom, kind: Any) -> None:
    campaign_id = room.send(AccountList(account_ids=kind(MANY)))
    assert sorted(name for page in room.stored_pages(campaign_id) for name in page) == MANY


def test_a_set_is_the_same_request_whatever_its_order(room: CampaignRoom) -> None:
    names = {"b", "a", "c"}
    assert room.send(AccountList(account_ids=names)) == room.send(AccountList(account_ids=["a", "b", "c"]))


async def test_an_iterator_that_blocks_does_not_hold_up_the_loop(room: CampaignRoom) -> None:
    reached, released = threading.Event(), threading.Event()

    def names() -> Iterator[str]:
        yield "a"
        reached.set()
        assert released.wait(20)
        yield "b"

    sending = asyncio.create_task(
        CampaignService.send_push_to_audience_async(
            audience=AccountList(account_ids=names()), params=make_params(), campaign_key="key"
        )
    )
    assert await asyncio.to_thread(reached.wait, 20)
    assert await CampaignService.list_campaigns_async() == []
    released.set()
    assert room.stored_pages(await sending) == [["a", "b"]]


@pytest.mark.parametrize("position", [0, 999, 1_000, 2_400])
@pytest.mark.parametrize("bad", ["", " padded", "line\nbreak", 7, None])
def test_an_id_that_is_none_refuses_all_and_leaves_nothing(
    room: CampaignRoom, position: int, bad: Any
) -> None:
    names = [*MANY[:position], bad, *MANY[position:]]
    with pytest.raises(InvalidInputError) as refused:
        room.send(AccountList(account_ids=iter(names)))
    assert [problem.field for problem in refused.value.problems] == [f"audience.account_ids[{position}]"]
    assert nothing_is_left(room)
    assert room.runs.started == []


def test_an_iterator_that_fails_leaves_nothing(room: CampaignRoom) -> None:
    def names() -> Iterator[str]:
        yield from MANY
        raise OSError("the file ended early")

    with pytest.raises(OSError, match="ended early"):
        room.send(AccountList(account_ids=names()))
    assert nothing_is_left(room)
    assert room.read(room.send(AccountList(account_ids=MANY))).accounts == 2_500


def test_an_iterator_without_anybody_is_refused(room: CampaignRoom) -> None:
    with pytest.raises(InvalidInputError) as refused:
        room.send(AccountList(account_ids=iter(())))
    assert (refused.value.code, refused.value.field) == ("empty_audience", "audience.account_ids")
    assert nothing_is_left(room)


def test_pages_of_a_caller_that_died_are_left_to_retention(room: CampaignRoom) -> None:
    def names() -> Iterator[str]:
        yield from MANY[:1_500]
        [page] = room.pages.find()
        assert "finished_at" in page
        yield "z"

    room.send(AccountList(account_ids=names()))


def test_a_campaign_is_recorded_with_all_that_was_said(room: CampaignRoom) -> None:
    expires_at = datetime.now(UTC).replace(microsecond=0) + HOUR
    rollout = Rollout(steps=(5, 100), max_error_rate=0.1, max_p95_ms=900)
    campaign_id = room.send(
        title="Sale", rate_per_second=50, rollout=rollout, expires_at=expires_at, key="spring"
    )
    campaign = room.read(campaign_id)
    assert (campaign.campaign_key, campaign.title) == ("spring", "Sale")
    assert (campaign.rate_per_second, campaign.rollout) == (50, rollout)
    assert campaign.expires_at == expires_at
    assert campaign.created_at == campaign.updated_at
    assert (campaign.reason, campaign.finished_at, campaign.plan) == (None, None, None)


def test_a_campaign_expires_so_long_after_it_was_accepted(room: CampaignRoom) -> None:
    campaign = room.read(room.send(expires_in=timedelta(hours=6)))
    assert campaign.expires_at == campaign.created_at + timedelta(hours=6)


def test_bad_input_writes_and_starts_nothing(room: CampaignRoom) -> None:
    with pytest.raises(InvalidInputError) as refused:
        room.send(title="", key="", rate_per_second=0)
    assert {problem.field for problem in refused.value.problems} == {
        "title",
        "campaign_key",
        "rate_per_second",
    }
    assert nothing_is_left(room)
    assert room.runs.started == []


def test_before_bootstrap_every_call_says_so() -> None:
    with pytest.raises(NotBootstrappedError):
        CampaignService.send_push_to_audience(
            audience=DeviceQuery(), params=make_params(), campaign_key="key"
        )


QUERY = DeviceQuery(
    platforms=(Platform.IOS,), tags=("beta",), last_seen_after=datetime(2026, 1, 1, tzinfo=UTC)
)


class TestOneKey:
    @pytest.mark.parametrize(
        "audience",
        [
            AccountList(account_ids=MANY),
            QUERY,
            Topic(name="news"),
            TopicCondition(expression="'a' in topics"),
        ],
        ids=["list", "query", "topic", "condition"],
    )
    def test_a_repeated_request_gets_the_first_campaign_and_starts_it_again(
        self, room: CampaignRoom, audience: Any
    ) -> None:
        first = room.send(audience)
        pages = room.pages.count_documents({})
        assert room.send(audience, expires_at=datetime.now(UTC) + HOUR) == first
        assert room.pages.count_documents({}) == pages
        assert [run.campaign_id for run in room.runs.started] == [first, first]

    def test_a_request_repeated_after_its_expiry_gets_the_first_campaign(self, room: CampaignRoom) -> None:
        audience, past = AccountList(account_ids=MANY), datetime.now(UTC) - HOUR
        with pytest.raises(InvalidInputError) as error:
            room.send(audience, expires_at=past)
        assert [problem.code for problem in error.value.problems] == ["expired"]
        assert room.pages.count_documents({}) == 0
        first = room.send(audience, expires_at=datetime.now(UTC) + HOUR)
        assert room.send(audience, expires_at=past) == first

    @pytest.mark.parametrize(
        "over",
        [
            {"audience": AccountList(account_ids=[*MANY, "z"])},
            {"audience": AccountList(account_ids=[*MANY[1:], MANY[0]])},
            {"audience": DeviceQuery()},
            {"body": "Other"},
            {"rollout": Rollout()},
            {"dry_run": True},
        ],
    )
    def test_another_request_under_the_key_is_refused_and_leaves_nothing(
        self, room: CampaignRoom, over: dict[str, Any]
    ) -> None:
        first = room.send(AccountList(account_ids=MANY))
        with pytest.raises(CampaignKeyConflictError):
            room.send(**{"audience": AccountList(account_ids=MANY), **over})
        assert room.pages.distinct("campaign_id") == [ObjectId(first)]
        assert len(room.runs.started) == 1

    @pytest.mark.parametrize(
        "over",
        [
            {"app_id": "shop"},
            {"platforms": ()},
            {"locales": ("en",)},
            {"last_seen_before": datetime.now(UTC)},
        ],
    )
    def test_another_search_is_another_request(self, room: CampaignRoom, over: dict[str, Any]) -> None:
        room.send(QUERY)
        with pytest.raises(CampaignKeyConflictError):
            room.send(replace(QUERY, **over))

    def test_a_topic_and_a_condition_are_different_requests(self, room: CampaignRoom) -> None:
        room.send(Topic(name="news"))
        for other in (Topic(name="News"), Topic(name="news", app_id="shop"), DeviceQuery()):
            with pytest.raises(CampaignKeyConflictError):
                room.send(other)

    def test_one_moment_in_two_zones_is_the_same_request(self, room: CampaignRoom) -> None:
        moment = datetime(2026, 1, 1, 12, tzinfo=UTC)
        first = room.send(DeviceQuery(last_seen_after=moment))
        assert room.send(DeviceQuery(last_seen_after=moment.astimezone())) == first

    def test_twenty_parallel_calls_make_one_campaign_and_its_pages_once(self, room: CampaignRoom) -> None:
        with ThreadPoolExecutor(20) as threads:
            sent = threads.map(lambda _: room.send(AccountList(account_ids=iter(MANY))), range(20))
            (campaign_id,) = set(sent)
        assert room.campaigns.count_documents({}) == 1
        assert room.pages.distinct("campaign_id") == [ObjectId(campaign_id)]
        assert [name for page in room.stored_pages(campaign_id) for name in page] == MANY
        assert room.pages.count_documents({"finished_at": {"$exists": True}}) == 0

    def test_of_different_parallel_requests_one_is_taken(self, room: CampaignRoom) -> None:
        def send(number: int) -> str | None:
            try:
                return room.send(AccountList(account_ids=[*MANY, f"z{number % 2}"]))
            except CampaignKeyConflictError:
                return None

        with ThreadPoolExecutor(10) as threads:
            ids = list(threads.map(send, range(10)))
        taken = {campaign_id for campaign_id in ids if campaign_id}
        assert len(taken) == room.campaigns.count_documents({}) == 1
        assert ids.count(None) == 5
        assert len(room.pages.distinct("campaign_id")) == 1

    def test_a_finished_campaign_is_not_started_again(self, room: CampaignRoom) -> None:
        first = room.send()
        room.record(first, "completed")
        assert room.send() == first
        assert len(room.runs.started) == 1


def test_without_temporal_the_campaign_is_kept_and_started_later(room: CampaignRoom) -> None:
    room.runs.failure = UnavailableError(code="temporal_unavailable", reason="away")
    with pytest.raises(CampaignDeferredError) as deferred:
        room.send(dry_run=True)
    campaign_id = deferred.value.campaign_id
    assert room.unfinished() == [campaign_id]
    room.runs.failure = None
    assert room.push.loop_thread.run(CampaignService.start_run_async(campaign_id=campaign_id))
    assert [(run.campaign_id, run.dry_run) for run in room.runs.started] == [(campaign_id, True)]
    assert room.send(dry_run=True) == campaign_id

"""Laws of campaigns: ends of steps, and counts that add up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from modules.campaign.internals.campaign_reader import to_public
from modules.campaign.internals.campaign_run_steps import step_ends
from modules.campaign.internals.store.campaign_model import (
    AudienceKind,
    AudienceModel,
    CampaignModel,
)
from modules.campaign.internals.store.campaign_page_repository import Extent
from modules.campaign.run_types import PAGE_ACCOUNTS
from modules.campaign.types import CampaignState

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
words = st.sampled_from(["pending", "processing", "sent", "delivered", "expired", "cancelled", "duplicate"])
failures = st.text(min_size=1, max_size=8).map(lambda text: f"failed:{text}")


def make_campaign(**over: Any) -> CampaignModel:
    campaign: dict[str, Any] = {
        "id": ObjectId(),
        "campaign_key": "key",
        "fingerprint": "f",
        "state": CampaignState.RUNNING,
        "audience": AudienceModel(kind=AudienceKind.LIST),
        "content": {"title": "t", "app_id": None},
        "expires_at": None,
        "rate_per_second": None,
        "rollout": None,
        "dry_run": False,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return CampaignModel(**{**campaign, **over})


@given(st.dictionaries(st.one_of(words, failures), st.integers(1, 10_000)), st.integers(0, 10_000))
def test_counts_add_up_to_the_audience_whatever_the_tally(tally: dict[str, int], waiting: int) -> None:
    accounts = sum(tally.values()) + waiting
    campaign = to_public(make_campaign(accounts=accounts), tally)
    assert sum(campaign.counts.values()) == accounts
    assert campaign.counts.get("waiting", 0) == waiting
    assert sum(campaign.failures.values()) == campaign.counts.get("failed", 0)
    assert all(count > 0 for count in campaign.counts.values())


@given(st.lists(st.floats(0.01, 99.99), unique=True, max_size=8), st.integers(0, 5_000_000))
def test_steps_rise_to_the_whole_audience(percentages: list[float], accounts: int) -> None:
    ends = step_ends([*sorted(percentages), 100.0], accounts)
    assert ends == sorted(ends)
    assert ends[-1] == accounts
    assert all(end >= 1 for end in ends) or accounts == 0


@given(st.lists(st.integers(1, PAGE_ACCOUNTS), max_size=6))
def test_an_extent_knows_its_end_by_a_page_that_is_not_full(sizes: list[int]) -> None:
    extent = Extent()
    for size in [PAGE_ACCOUNTS for _ in sizes[:-1]] + sizes[-1:]:
        extent = extent.with_page([f"a{number}" for number in range(size)])
    assert extent.accounts == max(0, len(sizes) - 1) * PAGE_ACCOUNTS + sum(sizes[-1:])
    assert extent.has_end is (bool(sizes) and sizes[-1] < PAGE_ACCOUNTS)


def test_a_campaign_is_sent_with_its_topics_app_else_its_contents_else_the_default_one() -> None:
    topic = {"title": "t", "app_id": None, "broadcast": {"app_id": "shop"}}
    assert make_campaign(content=topic).app_id == "shop"
    assert make_campaign(content={"title": "t", "app_id": "club"}).app_id == "club"
    assert make_campaign().app_id == "default"


def test_a_campaigns_content_stays_out_of_its_text() -> None:
    assert "secret-title" not in repr(make_campaign(content={"title": "secret-title", "app_id": None}))

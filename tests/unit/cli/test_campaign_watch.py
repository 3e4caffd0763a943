"""How a campaign is followed until it is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from modules.campaign.run_types import FINAL_STATES
from modules.campaign.types import Campaign, CampaignState
from modules.cli import campaign_watch, output
from modules.cli.campaign_watch import described, done_accounts, watch

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def make_campaign(state: CampaignState = CampaignState.RUNNING, **counts: int) -> Campaign:
    return Campaign(
        id="c1",
        campaign_key="key",
        state=state,
        reason=None,
        accounts=10,
        counts=counts,
        failures={},
        rate_per_second=None,
        rollout=None,
        expires_at=None,
        created_at=NOW,
        updated_at=NOW,
        finished_at=NOW if state in FINAL_STATES else None,
        plan=None,
        title="t",
    )


def reading(*campaigns: Campaign) -> Callable[[], Campaign]:
    """Gives one after the other, and fails when it is asked for more."""
    return iter(campaigns).__next__


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign_watch, "POLL_SECONDS", 0)
    output.begin()


def test_programs_get_every_change_once_and_nothing_after_the_end() -> None:
    output.choose_json(True)
    first, second = make_campaign(waiting=10), make_campaign(waiting=4, sent=6)
    last = make_campaign(CampaignState.COMPLETED, sent=10)
    shown: list[Campaign] = []
    watch(reading(first, first, second, second, last), shown.append)
    assert shown == [first, second, last]


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
@pytest.mark.parametrize("json", [True, False])
def test_a_campaign_that_is_over_is_shown_once(
    state: CampaignState, json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    output.choose_json(json)
    over = make_campaign(state)
    shown: list[Campaign] = []
    watch(reading(over), shown.append)
    assert shown == [over]


def test_people_see_how_far_it_is_and_the_campaign_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    last = make_campaign(CampaignState.CANCELLED, sent=6, cancelled=3, pending=1)
    shown: list[Campaign] = []
    watch(reading(make_campaign(waiting=10), make_campaign(CampaignState.HALTED), last), shown.append)
    assert shown == [last]
    printed = capsys.readouterr().out
    assert "cancelled" in printed
    assert "9/10" in printed


def test_what_is_wanted_and_not_so_yet_is_said() -> None:
    assert described(make_campaign()) == "running"
    wanted = replace(make_campaign(), wish=CampaignState.CANCELLED)
    assert described(wanted) == "running, to be cancelled"


def test_what_is_waiting_or_under_way_is_not_done() -> None:
    campaign = make_campaign(waiting=1, pending=2, processing=3, sent=4, failed=5, expired=6, cancelled=7)
    assert done_accounts(campaign) == 22

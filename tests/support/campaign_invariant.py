"""What must hold for a campaign after every fault: ended, one row an account, counts that are the rows'."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from modules.campaign.types import Campaign, CampaignState
from tests.support.invariant import Document

CANCELLED = "cancelled"
NAMED_IN_A_PROBLEM = 5


def campaign_problems_of(campaign: Campaign, audience: Sequence[str], rows: Sequence[Document]) -> list[str]:
    """Every way in which a campaign contradicts its audience and rows; empty when nothing does.

    `audience` names each account once, `rows` are the campaign's own. Only a cancelled campaign may have
    accounts without a row; they count as cancelled.
    """
    was_cancelled = campaign.state is CampaignState.CANCELLED
    problems = []
    if not was_cancelled and campaign.state is not CampaignState.COMPLETED:
        problems.append(f"the campaign is {campaign.state.value}")
    times = Counter(row["account_id"] for row in rows)
    wanted = set(audience)
    without_row = wanted - set(times)
    problems += _named("have more than one row", [name for name, count in times.items() if count > 1])
    problems += _named("are not in the audience", set(times) - wanted)
    if not was_cancelled:
        problems += _named("have no row", without_row)
    counted = Counter(word_for(row) for row in rows)
    counted[CANCELLED] += len(without_row)
    if dict(campaign.counts) != dict(+counted):
        problems.append(f"the campaign counts {dict(campaign.counts)}, the rows are {dict(+counted)}")
    if not campaign.accounts == sum(campaign.counts.values()) == len(wanted):
        problems.append(
            f"the audience is {len(wanted)}, {campaign.accounts} were recorded,"
            f" {sum(campaign.counts.values())} counted"
        )
    return [f"campaign {campaign.id}: {problem}" for problem in problems]


def word_for(row: Document) -> str:
    """What a row is in its campaign's counts."""
    return str(row["status"]) if row["active"] else CANCELLED


def _named(what: str, accounts: Sequence[str] | set[str]) -> list[str]:
    named = ", ".join(sorted(accounts)[:NAMED_IN_A_PROBLEM])
    return [f"{len(accounts)} account(s) {what}: {named}"] if accounts else []

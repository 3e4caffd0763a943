"""Reads campaigns: one, the newest, the unfinished, with the counts that their pages have."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bson import ObjectId
from bson.errors import InvalidId

from modules.application.local_time import Meant
from modules.application.param_rules import ProblemList
from modules.campaign.errors import CampaignNotFoundError
from modules.campaign.internals.store.campaign_model import CampaignModel, RolloutModel
from modules.campaign.internals.store.campaign_page_repository import CampaignPageRepository
from modules.campaign.internals.store.campaign_repository import CampaignRepository
from modules.campaign.types import Campaign, CampaignPlan, Rollout
from modules.notification.types import Status

MAX_LIST_LIMIT = 100
WAITING = "waiting"
_FAILURE = f"{Status.FAILED.value}:"


class CampaignReader:
    """Lives on one event loop. Methods raise UnavailableError when MongoDB does not answer."""

    def __init__(self, *, campaigns: CampaignRepository, pages: CampaignPageRepository) -> None:
        self._campaigns = campaigns
        self._pages = pages

    async def get(self, campaign_id: str) -> Campaign:
        campaign = await self._campaigns.get(campaign_id_of(campaign_id))
        return to_public(campaign, (await self._pages.tallies([campaign.id]))[campaign.id])

    async def newest(self, *, limit: int, before: datetime | None) -> list[Campaign]:
        problems = ProblemList()
        problems.limit(limit, most=MAX_LIST_LIMIT)
        until = problems.moment(before, "before", meant=Meant.BEHIND)
        problems.refuse()
        campaigns = await self._campaigns.newest(limit=limit, before=until)
        tallies = await self._pages.tallies([campaign.id for campaign in campaigns])
        return [to_public(campaign, tallies[campaign.id]) for campaign in campaigns]

    async def counts(self, campaign_id: str) -> dict[str, int]:
        """See CampaignService.counts_async."""
        campaign = await self._campaigns.get(campaign_id_of(campaign_id))
        return (await self._pages.tallies([campaign.id]))[campaign.id]

    async def unfinished(self, *, limit: int) -> list[str]:
        return [str(campaign_id) for campaign_id in await self._campaigns.unfinished(limit=limit)]


def campaign_id_of(text: str) -> ObjectId:
    """The campaign's id; raises CampaignNotFoundError for text that cannot be one."""
    try:
        return ObjectId(text)
    except (InvalidId, TypeError):
        raise CampaignNotFoundError from None


def to_public(campaign: CampaignModel, tally: Mapping[str, int]) -> Campaign:
    """The campaign as callers see it; `tally` is the sum over its pages."""
    failures = {
        word.removeprefix(_FAILURE): count for word, count in tally.items() if word.startswith(_FAILURE)
    }
    waiting = 0 if campaign.dry_run else (campaign.accounts or 0) - sum(tally.values())
    counts = {word: count for word, count in tally.items() if not word.startswith(_FAILURE)}
    counts |= {Status.FAILED.value: sum(failures.values()), WAITING: waiting}
    return Campaign(
        id=str(campaign.id),
        campaign_key=campaign.campaign_key,
        state=campaign.state,
        reason=campaign.reason,
        accounts=campaign.accounts,
        counts={word: count for word, count in counts.items() if count > 0},
        failures=failures,
        rate_per_second=campaign.rate_per_second,
        rollout=_rollout(campaign.rollout),
        expires_at=campaign.expires_at,
        created_at=campaign.created_at,
        updated_at=campaign.updated_at,
        finished_at=campaign.finished_at,
        plan=None if campaign.plan is None else CampaignPlan(**campaign.plan.model_dump()),
        title=campaign.content["title"],
        wish=None if campaign.wish is None else campaign.wish.kind,
    )


def _rollout(rollout: RolloutModel | None) -> Rollout | None:
    if rollout is None:
        return None
    return Rollout(
        steps=tuple(rollout.steps), max_error_rate=rollout.max_error_rate, max_p95_ms=rollout.max_p95_ms
    )

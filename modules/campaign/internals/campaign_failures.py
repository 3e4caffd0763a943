"""Ends campaigns that cannot go on: a run that fails is started again a bounded number of times."""

from __future__ import annotations

from bson import ObjectId

from modules.campaign.internals.store.campaign_model import CampaignModel
from modules.campaign.internals.store.campaign_repository import CampaignRepository
from modules.campaign.types import CampaignState

# A run waits for days for what is away before it fails: more of them would not help.
MOST_RESTARTS = 5


class CampaignFailures:
    """Lives on one event loop. Raises UnavailableError when MongoDB does not answer."""

    def __init__(self, campaigns: CampaignRepository) -> None:
        self._campaigns = campaigns

    async def count(self, campaign_id: ObjectId, *, run_id: str, code: str, final: bool) -> CampaignModel:
        """Count a failed run, once; the campaign, which is to end as `failed` when no run can go on.

        `final`: what it failed with will be the same for ever.
        """
        campaign = await self._campaigns.count_failed_run(campaign_id, run_id=run_id, code=code)
        failed = campaign.failed_runs
        if campaign.is_final or failed is None or not (final or failed.count > MOST_RESTARTS):
            return campaign
        reason = f"Its run cannot go on: {code}."
        if not final:
            reason = f"{failed.count} of its runs failed, the last one with {failed.code}."
        return await self._campaigns.wish(campaign_id, CampaignState.FAILED, reason=reason)

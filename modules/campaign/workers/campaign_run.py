"""Starts and controls the runs of campaigns for the campaign service."""

from __future__ import annotations

from modules.application.application_service import ApplicationService
from modules.application.worker import RunState
from modules.campaign.run_types import CampaignRunParams
from modules.campaign.workers.campaign_worker import CampaignWorker


async def run_campaign(*, params: CampaignRunParams) -> bool:
    """A RunCampaign: start the run unless it is under way."""
    return await ApplicationService.start_worker_async(cls=CampaignWorker, params=params)


class TemporalCampaignRuns:
    """The CampaignRuns that Temporal has."""

    async def control(self, *, campaign_id: str, update: str, argument: float | None) -> None:
        await ApplicationService.update_worker_async(
            cls=CampaignWorker,
            params=CampaignRunParams(campaign_id=campaign_id),
            update=update,
            argument=argument,
        )

    async def tell(self, *, campaign_id: str) -> None:
        params = CampaignRunParams(campaign_id=campaign_id)
        await ApplicationService.signal_worker_async(cls=CampaignWorker, params=params, signal="look")

    async def state_of(self, *, campaign_id: str) -> RunState | None:
        params = CampaignRunParams(campaign_id=campaign_id)
        return await ApplicationService.run_state_async(cls=CampaignWorker, params=params)

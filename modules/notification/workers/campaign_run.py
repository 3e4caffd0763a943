"""Starts and controls the runs of campaigns for the campaign service."""

from __future__ import annotations

from modules.application.application_service import ApplicationService
from modules.notification.campaign_types import CampaignRunParams
from modules.notification.workers.campaign_worker import CampaignWorker


async def run_campaign(*, params: CampaignRunParams) -> bool:
    """A RunCampaign: start the run unless it is under way."""
    return await ApplicationService.start_worker_async(cls=CampaignWorker, params=params)


async def control_campaign(*, campaign_id: str, update: str, argument: float | None) -> None:
    """A ControlCampaign: send the update to the run under way."""
    await ApplicationService.update_worker_async(
        cls=CampaignWorker,
        params=CampaignRunParams(campaign_id=campaign_id),
        update=update,
        argument=argument,
    )

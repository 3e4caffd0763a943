"""Puts the parts that campaigns need together for one event loop."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from modules.application.mongo_database import MongoDatabase
from modules.campaign.internals.campaign_acceptance import CampaignAcceptance, RunCampaign
from modules.campaign.internals.campaign_audience import CampaignAudience
from modules.campaign.internals.campaign_control import CampaignControl, CampaignRuns
from modules.campaign.internals.campaign_delivery import CampaignDelivery
from modules.campaign.internals.campaign_failures import CampaignFailures
from modules.campaign.internals.campaign_planner import CampaignPlanner
from modules.campaign.internals.campaign_reader import CampaignReader
from modules.campaign.internals.campaign_run_steps import CampaignRunSteps
from modules.campaign.internals.store.campaign_page_repository import CampaignPageRepository
from modules.campaign.internals.store.campaign_repository import CampaignRepository
from modules.config.types import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignCore:
    """What CampaignService is bound to."""

    campaigns: CampaignRepository
    pages: CampaignPageRepository
    acceptance: CampaignAcceptance
    reader: CampaignReader
    control: CampaignControl
    run_steps: CampaignRunSteps
    delivery: CampaignDelivery

    async def ensure(self) -> None:
        """Create the collections and their indexes, or bring them up to date."""
        await self.campaigns.ensure()
        await self.pages.ensure()


def assemble_campaigns(
    settings: Settings,
    database: MongoDatabase,
    *,
    run: RunCampaign,
    runs: CampaignRuns,
) -> CampaignCore:
    retention_days = settings.retention.finished_days
    campaigns = CampaignRepository(database.database, retention_days=retention_days)
    pages = CampaignPageRepository(database.database, retention_days=retention_days)
    audience = CampaignAudience(pages, database.clock)
    acceptance = CampaignAcceptance(
        campaigns=campaigns,
        pages=pages,
        audience=audience,
        run=run,
    )
    reader = CampaignReader(campaigns=campaigns, pages=pages)
    failures = CampaignFailures(campaigns)
    run_steps = CampaignRunSteps(
        campaigns=campaigns,
        pages=pages,
        reader=reader,
        failures=failures,
        audience=audience,
        planner=CampaignPlanner(audience),
        clock=database.clock,
    )
    delivery = CampaignDelivery(
        campaigns=campaigns,
        pages=pages,
        clock=database.clock,
        retention=timedelta(days=retention_days),
    )
    return CampaignCore(
        campaigns=campaigns,
        pages=pages,
        acceptance=acceptance,
        reader=reader,
        control=CampaignControl(
            campaigns=campaigns, reader=reader, acceptance=acceptance, failures=failures, runs=runs
        ),
        run_steps=run_steps,
        delivery=delivery,
    )

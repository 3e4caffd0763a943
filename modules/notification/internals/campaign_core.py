"""Puts the parts that campaigns need together for one event loop."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from modules.application.mongo_database import MongoDatabase
from modules.config.types import Settings
from modules.notification.internals.campaign_acceptance import CampaignAcceptance, RunCampaign
from modules.notification.internals.campaign_audience import CampaignAudience
from modules.notification.internals.campaign_control import CampaignControl, CampaignRuns
from modules.notification.internals.campaign_delivery import CampaignDelivery, DeliverRows, WaitOpen
from modules.notification.internals.campaign_failures import CampaignFailures
from modules.notification.internals.campaign_planner import CampaignPlanner, ValidatePush
from modules.notification.internals.campaign_reader import CampaignReader
from modules.notification.internals.campaign_run_steps import CampaignRunSteps
from modules.notification.internals.store.campaign_page_repository import CampaignPageRepository
from modules.notification.internals.store.campaign_repository import CampaignRepository
from modules.notification.internals.store.campaign_row_repository import CampaignRowRepository


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignCore:
    """What CampaignService is bound to."""

    campaigns: CampaignRepository
    pages: CampaignPageRepository
    acceptance: CampaignAcceptance
    book: CampaignReader
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
    validate: ValidatePush,
    deliver: DeliverRows,
    wait_open: WaitOpen,
) -> CampaignCore:
    retention_days, link_base = settings.retention.finished_days, settings.fcm.longest_link_base()
    campaigns = CampaignRepository(database.database, retention_days=retention_days)
    pages = CampaignPageRepository(database.database, retention_days=retention_days)
    audience = CampaignAudience(pages, database.clock)
    rows = CampaignRowRepository(database.database)
    acceptance = CampaignAcceptance(
        campaigns=campaigns,
        pages=pages,
        audience=audience,
        clock=database.clock,
        run=run,
        link_base=link_base,
    )
    book = CampaignReader(campaigns=campaigns, pages=pages)
    failures = CampaignFailures(campaigns)
    run_steps = CampaignRunSteps(
        campaigns=campaigns,
        pages=pages,
        rows=rows,
        book=book,
        failures=failures,
        audience=audience,
        planner=CampaignPlanner(audience, validate, link_base=link_base),
        clock=database.clock,
    )
    delivery = CampaignDelivery(
        campaigns=campaigns,
        pages=pages,
        rows=rows,
        deliver=deliver,
        clock=database.clock,
        wait_open=wait_open,
        retention=timedelta(days=retention_days),
    )
    return CampaignCore(
        campaigns=campaigns,
        pages=pages,
        acceptance=acceptance,
        book=book,
        control=CampaignControl(
            campaigns=campaigns, book=book, acceptance=acceptance, failures=failures, runs=runs
        ),
        run_steps=run_steps,
        delivery=delivery,
    )

"""Does what a campaign's run asks for: collects the audience, plans, records the state, cancels the rest."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from modules.application.errors import ConflictError
from modules.application.mongo_database import DatabaseClock
from modules.campaign.errors import CampaignPageNotFoundError
from modules.campaign.internals.campaign_audience import CampaignAudience
from modules.campaign.internals.campaign_control import refuse_uncontrollable
from modules.campaign.internals.campaign_failures import CampaignFailures
from modules.campaign.internals.campaign_planner import CampaignPlanner
from modules.campaign.internals.campaign_reader import CampaignReader, campaign_id_of
from modules.campaign.internals.store.campaign_model import CampaignModel, RolloutModel
from modules.campaign.internals.store.campaign_page_repository import CampaignPageRepository
from modules.campaign.internals.store.campaign_repository import CampaignRepository
from modules.campaign.run_types import (
    PAUSED_STATES,
    Collected,
    FailedRunParams,
    RecordedWill,
    RolloutParams,
)
from modules.campaign.types import CampaignState
from modules.notification.bulk_service import BulkService
from modules.notification.bulk_types import CANCELLED, PageOutcome

# A row's next moment can have passed before whoever holds it has written.
LEASE_MARGIN_SECONDS = 0.5


class CampaignRunSteps:
    """Lives on one event loop; each step can be repeated. Raises UnavailableError without MongoDB."""

    def __init__(
        self,
        *,
        campaigns: CampaignRepository,
        pages: CampaignPageRepository,
        reader: CampaignReader,
        failures: CampaignFailures,
        audience: CampaignAudience,
        planner: CampaignPlanner,
        clock: DatabaseClock,
    ) -> None:
        self._campaigns = campaigns
        self._pages = pages
        self._reader = reader
        self._failures = failures
        self._audience = audience
        self._planner = planner
        self._clock = clock

    async def collect(self, campaign_id: str, *, first_page: int) -> Collected:
        """See CampaignService.collect_audience_async."""
        campaign = await self._campaigns.get(campaign_id_of(campaign_id))
        refuse_uncontrollable(campaign)
        if campaign.is_ended:
            extent = await self._pages.extent(campaign.id)
            return _collected(campaign, extent.accounts, extent.pages, complete=False)
        if campaign.accounts is None:
            extent, complete = await self._audience.collect(campaign, first_page=first_page)
            if not complete:
                return _collected(campaign, extent.accounts, extent.pages, complete=False)
            campaign = await self._campaigns.fix_extent(
                campaign.id, accounts=extent.accounts, pages=extent.pages
            )
        # For a list whose caller ended between recording the campaign and keeping its pages.
        await self._pages.keep(campaign.id)
        return _collected(campaign, campaign.accounts or 0, campaign.pages or 0, complete=True)

    async def plan(self, campaign_id: str) -> None:
        """See CampaignService.plan_async."""
        campaign = await self._campaigns.get(campaign_id_of(campaign_id))
        if not campaign.dry_run:
            raise ConflictError(
                code="campaign_is_no_dry_run", field="campaign_id", reason="the campaign is sent, not planned"
            )
        if not campaign.is_final:
            plan = await self._planner.plan(campaign)
            await self._campaigns.store_plan(campaign.id, plan)
        await self._pages.delete(campaign.id)

    async def record_state(self, campaign_id: str, state: CampaignState, *, reason: str | None) -> None:
        """See CampaignService.record_state_async."""
        row_id = campaign_id_of(campaign_id)
        campaign = await self._campaigns.record_state(row_id, state, reason=reason)
        if campaign.is_final:
            await self._pages.finish(campaign.id)

    async def look(self, campaign_id: str) -> RecordedWill:
        """See CampaignService.look_async."""
        campaign = await self._campaigns.get_latest(campaign_id_of(campaign_id))
        if campaign.rate_untold:
            await self._campaigns.rate_is_told(campaign.id, campaign.rate_per_second)
        return _will_of(campaign)

    async def count_failed_run(self, params: FailedRunParams) -> RecordedWill:
        """See CampaignService.count_failed_run_async."""
        row_id = campaign_id_of(params.campaign_id)
        return _will_of(
            await self._failures.count(row_id, run_id=params.run_id, code=params.code, final=params.final)
        )

    async def cancel_rest(self, campaign_id: str) -> dict[str, int]:
        """See CampaignService.cancel_rest_async."""
        campaign = await self._campaigns.get(campaign_id_of(campaign_id))
        extent = await self._pages.extent(campaign.id)
        for number in range(max(extent.pages, campaign.pages or 0)):
            try:
                account_ids = (await self._pages.get(campaign.id, number)).account_ids
            except CampaignPageNotFoundError:
                # Those without a row are not known any more, and none of the page is counted.
                written = await BulkService.accounts_of_page_async(bulk_id=campaign_id, page=number)
                await self._cancelled(campaign, number, written)
                continue
            page = await self._cancelled(campaign, number, account_ids)
            counts = dict(page.counts)
            unwritten = len(account_ids) - sum(counts.values())
            if unwritten:
                counts[CANCELLED] = counts.get(CANCELLED, 0) + unwritten
            await self._pages.close(campaign.id, number, counts)
        return await self._reader.counts(campaign_id)

    async def _cancelled(
        self, campaign: CampaignModel, number: int, account_ids: Sequence[str]
    ) -> PageOutcome:
        """The page once nobody holds a row of it: a lost worker's lease is waited for."""
        rows = BulkService.rows_of(bulk_id=str(campaign.id), page=number, account_ids=account_ids)
        while True:
            await BulkService.cancel_async(rows=rows)
            page = await BulkService.tally_async(rows=rows)
            if page.open_until is None:
                return page
            left = (page.open_until - await self._clock.now()).total_seconds()
            await asyncio.sleep(max(LEASE_MARGIN_SECONDS, left))


def _collected(campaign: CampaignModel, accounts: int, pages: int, *, complete: bool) -> Collected:
    return Collected(
        accounts=accounts,
        pages=pages,
        complete=complete,
        rollout=_rollout_params(campaign.rollout, accounts) if complete else None,
        rate_per_second=campaign.rate_per_second,
        paused=campaign.state in PAUSED_STATES,
        pause_reason=campaign.reason if campaign.state is CampaignState.HALTED else None,
        wish=None if campaign.wish is None else campaign.wish.kind.value,
        wish_reason=None if campaign.wish is None else campaign.wish.reason,
    )


def _will_of(campaign: CampaignModel) -> RecordedWill:
    return RecordedWill(
        state=campaign.state.value,
        reason=campaign.reason,
        wish=None if campaign.wish is None else campaign.wish.kind.value,
        wish_reason=None if campaign.wish is None else campaign.wish.reason,
        rate_per_second=campaign.rate_per_second,
    )


def _rollout_params(rollout: RolloutModel | None, accounts: int) -> RolloutParams | None:
    if rollout is None:
        return None
    return RolloutParams(
        step_ends=step_ends(rollout.steps, accounts),
        max_error_rate=rollout.max_error_rate,
        max_p95_ms=rollout.max_p95_ms,
    )


def step_ends(steps: list[float], accounts: int) -> list[int]:
    """Where each step ends, in accounts, rounded up; steps of a small audience can end at the same one."""
    return [math.ceil(accounts * percent / 100) for percent in steps]

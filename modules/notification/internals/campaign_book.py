"""Knows the campaigns: where each stands, how far its audience is stored, and how it is controlled."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from bson import ObjectId
from bson.errors import InvalidId

from modules.application.errors import ConflictError, InvalidInputError, NotFoundError, Problem
from modules.application.mongo_database import DatabaseClock
from modules.notification.campaign_types import Collected, RolloutParams
from modules.notification.errors import (
    CampaignDryRunError,
    CampaignFinishedError,
    CampaignNotFoundError,
)
from modules.notification.internals.campaign_acceptance import CampaignAcceptance
from modules.notification.internals.campaign_audience import CampaignAudience
from modules.notification.internals.campaign_params import rate_problems
from modules.notification.internals.campaign_planner import CampaignPlanner
from modules.notification.internals.store.campaign_model import CampaignModel, RolloutModel
from modules.notification.internals.store.campaign_page_repository import CampaignPageRepository
from modules.notification.internals.store.campaign_repository import CampaignRepository
from modules.notification.internals.store.campaign_row_repository import (
    CANCELLED,
    CampaignRowRepository,
    PageTally,
)
from modules.notification.types import Campaign, CampaignPlan, CampaignState, Rollout, Status

MAX_LIST_LIMIT = 100
WAITING = "waiting"
_FAILURE = f"{Status.FAILED.value}:"
# What a run answers that has ended, or that Temporal does not know.
_RUN_ENDED = "campaign_ended"
_PAUSES = (CampaignState.PAUSED, CampaignState.HALTED)
# A row's next moment can have passed before whoever holds it has written.
LOOK_AGAIN_SECONDS = 0.5


class ControlCampaign(Protocol):
    """Has a campaign's run handle an update and returns when it has.

    Raises NotFoundError when there is no run, ConflictError with the run's own code when it refuses.
    """

    async def __call__(self, *, campaign_id: str, update: str, argument: float | None) -> None: ...


class CampaignBook:
    """Lives on one event loop. Methods raise UnavailableError when MongoDB does not answer."""

    def __init__(
        self,
        *,
        campaigns: CampaignRepository,
        pages: CampaignPageRepository,
        rows: CampaignRowRepository,
        audience: CampaignAudience,
        acceptance: CampaignAcceptance,
        planner: CampaignPlanner,
        clock: DatabaseClock,
        control: ControlCampaign,
    ) -> None:
        self._campaigns = campaigns
        self._pages = pages
        self._rows = rows
        self._audience = audience
        self._acceptance = acceptance
        self._planner = planner
        self._clock = clock
        self._control = control

    async def get(self, campaign_id: str) -> Campaign:
        campaign = await self._campaigns.get(campaign_id_of(campaign_id))
        return to_public(campaign, (await self._pages.tallies([campaign.id]))[campaign.id])

    async def newest(self, *, limit: int, before: datetime | None) -> list[Campaign]:
        problems = []
        if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MAX_LIST_LIMIT:
            problems.append(Problem("invalid_limit", "limit", f"must be 1 to {MAX_LIST_LIMIT}"))
        if before is not None and not isinstance(before, datetime):
            problems.append(Problem("invalid_type", "before", "must be a datetime"))
        if problems:
            raise InvalidInputError(problems)
        before = before.astimezone() if before is not None else None
        campaigns = await self._campaigns.newest(limit=limit, before=before)
        tallies = await self._pages.tallies([campaign.id for campaign in campaigns])
        return [to_public(campaign, tallies[campaign.id]) for campaign in campaigns]

    async def control(self, campaign_id: str, update: str, argument: float | None = None) -> Campaign:
        """Have the run do as told, which is started first if there is none; the campaign as it is then."""
        campaign = await self._controllable(campaign_id)
        tell = functools.partial(
            self._control, campaign_id=str(campaign.id), update=update, argument=argument
        )
        try:
            try:
                await tell()
            except NotFoundError:
                await self._acceptance.start(campaign)
                await tell()
        except ConflictError as error:
            if error.code != _RUN_ENDED:
                raise
            raise CampaignFinishedError((await self._campaigns.get(campaign.id)).state.value) from error
        return await self.get(campaign_id)

    async def set_rate(self, campaign_id: str, rate_per_second: float | None) -> Campaign:
        """Have the run keep another rate, and one that starts anew as well."""
        problems = rate_problems(rate_per_second)
        if problems:
            raise InvalidInputError(problems)
        await self.control(campaign_id, "set_rate", rate_per_second)
        await self._campaigns.store_rate(campaign_id_of(campaign_id), rate_per_second)
        return await self.get(campaign_id)

    async def _controllable(self, campaign_id: str) -> CampaignModel:
        campaign = await self._campaigns.get(campaign_id_of(campaign_id))
        if campaign.is_final:
            raise CampaignFinishedError(campaign.state.value)
        if campaign.dry_run:
            raise CampaignDryRunError
        return campaign

    async def start(self, campaign_id: str) -> bool:
        """Start the run of an unfinished campaign; False when it has one."""
        return await self._acceptance.start(await self._campaigns.get(campaign_id_of(campaign_id)))

    async def unfinished(self, *, limit: int) -> list[str]:
        return [str(campaign_id) for campaign_id in await self._campaigns.unfinished(limit=limit)]

    async def collect(self, campaign_id: str, *, first_page: int) -> Collected:
        """See CampaignService.collect_audience_async."""
        campaign = await self._controllable(campaign_id)
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

    async def record_state(self, campaign_id: str, state: CampaignState, *, reason: str | None) -> None:
        """See CampaignService.record_state_async."""
        row_id = campaign_id_of(campaign_id)
        campaign = await self._campaigns.record_state(row_id, state, reason=reason)
        if campaign.is_final:
            await self._pages.finish(campaign.id)

    async def cancel_rest(self, campaign_id: str) -> dict[str, int]:
        """See CampaignService.cancel_rest_async."""
        campaign = await self._campaigns.get(campaign_id_of(campaign_id))
        extent = await self._pages.extent(campaign.id)
        for number in range(extent.pages):
            account_ids = await self._pages.account_ids(campaign.id, number)
            page = await self._cancelled(campaign.id, number, account_ids)
            counts = dict(page.counts)
            unwritten = len(account_ids) - sum(counts.values())
            if unwritten:
                counts[CANCELLED] = counts.get(CANCELLED, 0) + unwritten
            await self._pages.store_tally(campaign.id, number, counts, retry_at=page.open_until)
        return await self.counts(campaign_id)

    async def _cancelled(self, campaign_id: ObjectId, number: int, account_ids: Sequence[str]) -> PageTally:
        """The page once nobody holds a row of it: a lost worker's lease is waited for."""
        while True:
            await self._rows.cancel(campaign_id, account_ids)
            page = await self._rows.tally(campaign_id, number, account_ids)
            if page.open_until is None:
                return page
            left = (page.open_until - await self._clock.now()).total_seconds()
            await asyncio.sleep(max(LOOK_AGAIN_SECONDS, left))

    async def counts(self, campaign_id: str) -> dict[str, int]:
        """See CampaignService.counts_async."""
        campaign = await self._campaigns.get(campaign_id_of(campaign_id))
        return (await self._pages.tallies([campaign.id]))[campaign.id]

    async def plan(self, campaign_id: str) -> None:
        """See CampaignService.plan_async."""
        campaign = await self._campaigns.get(campaign_id_of(campaign_id))
        if not campaign.dry_run:
            raise ConflictError(
                code="campaign_is_no_dry_run", field="campaign_id", reason="the campaign is sent, not planned"
            )
        if not campaign.is_final:
            plan = await self._planner.plan(campaign, now=await self._clock.now())
            await self._campaigns.store_plan(campaign.id, plan)
        await self._pages.delete(campaign.id)


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
    )


def _rollout(rollout: RolloutModel | None) -> Rollout | None:
    if rollout is None:
        return None
    return Rollout(
        steps=tuple(rollout.steps), max_error_rate=rollout.max_error_rate, max_p95_ms=rollout.max_p95_ms
    )


def _collected(campaign: CampaignModel, accounts: int, pages: int, *, complete: bool) -> Collected:
    return Collected(
        accounts=accounts,
        pages=pages,
        complete=complete,
        rollout=_rollout_params(campaign.rollout, accounts) if complete else None,
        rate_per_second=campaign.rate_per_second,
        paused=campaign.state in _PAUSES,
        pause_reason=campaign.reason if campaign.state is CampaignState.HALTED else None,
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

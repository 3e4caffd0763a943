"""Records what operators want of a campaign, then tells its run, which is started if there is none."""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

from modules.application.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    ServiceError,
    UnavailableError,
)
from modules.application.worker import RunState
from modules.campaign.errors import CampaignCommandDeferredError, CampaignDryRunError, CampaignFinishedError
from modules.campaign.internals.campaign_acceptance import CampaignAcceptance
from modules.campaign.internals.campaign_failures import CampaignFailures
from modules.campaign.internals.campaign_params import rate_problems, unpaced
from modules.campaign.internals.campaign_reader import CampaignReader, campaign_id_of
from modules.campaign.internals.store.campaign_model import AudienceKind, CampaignModel
from modules.campaign.internals.store.campaign_repository import CampaignRepository
from modules.campaign.types import Campaign, CampaignState

# What a run answers that has ended, and one that was told otherwise before it was done.
_RUN_ENDED = "campaign_ended"
_OVERTAKEN = "campaign_overtaken"
# The code of a run that failed and could not record why.
_RUN_FAILED = "run_failed"


class CampaignRuns(Protocol):
    """The runs of campaigns. Methods raise UnavailableError when Temporal does not answer."""

    async def control(self, *, campaign_id: str, update: str, argument: float | None) -> None:
        """Have the run handle an update; returns when it has.

        Raises NotFoundError when there is no run, ConflictError with the run's own code when it refuses.
        """

    async def tell(self, *, campaign_id: str) -> None:
        """Have the run read its record as soon as a worker has it; raises NotFoundError without a run."""

    async def state_of(self, *, campaign_id: str) -> RunState | None:
        """What became of the newest run; None where Temporal knows of none."""


class CampaignControl:
    """Lives on one event loop. Methods raise UnavailableError when MongoDB does not answer.

    A command is recorded before the run is told; one that was carried out before succeeds again and changes
    nothing. Raises CampaignCommandDeferredError when the run does not confirm it.
    """

    def __init__(
        self,
        *,
        campaigns: CampaignRepository,
        reader: CampaignReader,
        acceptance: CampaignAcceptance,
        failures: CampaignFailures,
        runs: CampaignRuns,
    ) -> None:
        self._campaigns = campaigns
        self._reader = reader
        self._acceptance = acceptance
        self._failures = failures
        self._runs = runs

    async def start(self, campaign_id: str) -> bool:
        """See CampaignService.start_run_async."""
        campaign = await self._campaigns.get(campaign_id_of(campaign_id))
        if campaign.is_final:
            return False
        run = await self._runs.state_of(campaign_id=campaign_id)
        if run is not None and run.is_open:
            if campaign.has_news:
                await self._runs.tell(campaign_id=campaign_id)
            return False
        if run is not None and run.has_failed:
            await self._failures.count(campaign.id, run_id=run.run_id, code=_RUN_FAILED, final=False)
        return await self._acceptance.start(campaign)

    async def pause(self, campaign_id: str) -> Campaign:
        """See CampaignService.pause_campaign_async."""
        return await self._told(await self._wished(campaign_id, CampaignState.PAUSED), "pause")

    async def resume(self, campaign_id: str) -> Campaign:
        """See CampaignService.resume_campaign_async."""
        return await self._told(await self._wished(campaign_id, CampaignState.RUNNING), "resume")

    async def cancel(self, campaign_id: str) -> Campaign:
        """See CampaignService.cancel_campaign_async."""
        try:
            return await self._told(await self._wished(campaign_id, CampaignState.CANCELLED), "cancel")
        except CampaignFinishedError:
            campaign = await self._reader.get(campaign_id)
            if campaign.state is not CampaignState.CANCELLED:
                raise
            return campaign

    async def set_rate(self, campaign_id: str, rate_per_second: float | None) -> Campaign:
        """See CampaignService.set_campaign_rate_async; a run that starts anew keeps the rate as well."""
        problems = rate_problems(rate_per_second)
        if problems:
            raise InvalidInputError(problems)
        before = await self._controllable(campaign_id)
        _refuse_ended(before)
        if before.audience.kind is AudienceKind.BROADCAST:
            raise InvalidInputError([unpaced("rate_per_second")])
        campaign = _still_open(await self._campaigns.store_rate(before.id, rate_per_second))
        try:
            await self._told(campaign, "set_rate", rate_per_second)
        except CampaignFinishedError:
            await self._campaigns.store_rate(before.id, before.rate_per_second)
            raise
        campaign = await self._campaigns.rate_is_told(before.id, rate_per_second)
        if campaign.rate_untold:
            # Another one was stored meanwhile, and the run may have heard of that one first.
            await self._remind(campaign_id)
        return await self._reader.get(campaign_id)

    async def _wished(self, campaign_id: str, kind: CampaignState) -> CampaignModel:
        """Record the wish; the campaign as it is then. Raises CampaignFinishedError for one that ends."""
        campaign = await self._controllable(campaign_id)
        campaign = _still_open(await self._campaigns.wish(campaign.id, kind))
        if campaign.wish is not None and campaign.wish.kind is not kind:
            _refuse_ended(campaign)
        return campaign

    async def _told(self, campaign: CampaignModel, update: str, argument: float | None = None) -> Campaign:
        """Have the run do as is recorded, which is started first if there is none; the campaign then."""
        campaign_id = str(campaign.id)
        try:
            await self._updated(campaign_id, update, argument)
        except (ConflictError, NotFoundError, UnavailableError) as error:
            if isinstance(error, CampaignFinishedError) or error.code == _OVERTAKEN:
                raise
            campaign = _still_open(await self._campaigns.get(campaign.id))
            if error.code == _RUN_ENDED:
                raise CampaignFinishedError("being ended") from error
            # What no worker has taken by then, Temporal forgets; this it keeps.
            await self._remind(campaign_id)
            raise CampaignCommandDeferredError(campaign_id, error.reason) from error
        return await self._reader.get(campaign_id)

    async def _remind(self, campaign_id: str) -> None:
        """Have the run read its record; where it does not hear of it now, the scan tells it."""
        with suppress(ServiceError):
            await self._runs.tell(campaign_id=campaign_id)

    async def _updated(self, campaign_id: str, update: str, argument: float | None) -> None:
        try:
            await self._runs.control(campaign_id=campaign_id, update=update, argument=argument)
        except NotFoundError:
            # It may have ended since it was read; a finished one gets no run.
            await self._acceptance.start(await self._controllable(campaign_id))
            await self._runs.control(campaign_id=campaign_id, update=update, argument=argument)

    async def _controllable(self, campaign_id: str) -> CampaignModel:
        campaign = await self._campaigns.get(campaign_id_of(campaign_id))
        refuse_uncontrollable(campaign)
        return campaign


def refuse_uncontrollable(campaign: CampaignModel) -> None:
    """Raise CampaignFinishedError or CampaignDryRunError where there is nothing to send or to stop."""
    _still_open(campaign)
    if campaign.dry_run:
        raise CampaignDryRunError


def _refuse_ended(campaign: CampaignModel) -> None:
    if campaign.is_ended:
        raise CampaignFinishedError("being ended")


def _still_open(campaign: CampaignModel) -> CampaignModel:
    if campaign.is_final:
        raise CampaignFinishedError(campaign.state.value)
    return campaign

"""Passes the commands of operators to a campaign's run, and starts the run that is to hear them."""

from __future__ import annotations

from typing import Protocol

from modules.application.errors import ConflictError, InvalidInputError, NotFoundError
from modules.notification.audience_types import Campaign, CampaignState
from modules.notification.errors import CampaignDryRunError, CampaignFinishedError
from modules.notification.internals.campaign_acceptance import CampaignAcceptance
from modules.notification.internals.campaign_book import CampaignBook, campaign_id_of
from modules.notification.internals.campaign_params import rate_problems, unpaced
from modules.notification.internals.store.campaign_model import AudienceKind, CampaignModel
from modules.notification.internals.store.campaign_repository import CampaignRepository

# What a run answers that has ended.
_RUN_ENDED = "campaign_ended"


class ControlCampaign(Protocol):
    """Has a campaign's run handle an update and returns when it has.

    Raises NotFoundError when there is no run, ConflictError with the run's own code when it refuses.
    """

    async def __call__(self, *, campaign_id: str, update: str, argument: float | None) -> None: ...


class CampaignControl:
    """Lives on one event loop. Methods raise UnavailableError when MongoDB or Temporal does not answer.

    A command that was carried out before succeeds again and changes nothing.
    """

    def __init__(
        self,
        *,
        campaigns: CampaignRepository,
        book: CampaignBook,
        acceptance: CampaignAcceptance,
        control: ControlCampaign,
    ) -> None:
        self._campaigns = campaigns
        self._book = book
        self._acceptance = acceptance
        self._control = control

    async def start(self, campaign_id: str) -> bool:
        """See CampaignService.start_run_async."""
        return await self._acceptance.start(await self._campaigns.get(campaign_id_of(campaign_id)))

    async def pause(self, campaign_id: str) -> Campaign:
        """See CampaignService.pause_campaign_async."""
        return await self._told(campaign_id, "pause")

    async def resume(self, campaign_id: str) -> Campaign:
        """See CampaignService.resume_campaign_async."""
        return await self._told(campaign_id, "resume")

    async def cancel(self, campaign_id: str) -> Campaign:
        """See CampaignService.cancel_campaign_async."""
        try:
            return await self._told(campaign_id, "cancel")
        except CampaignFinishedError:
            campaign = await self._book.get(campaign_id)
            if campaign.state is not CampaignState.CANCELLED:
                raise
            return campaign

    async def set_rate(self, campaign_id: str, rate_per_second: float | None) -> Campaign:
        """See CampaignService.set_campaign_rate_async; a run that starts anew keeps the rate as well."""
        problems = rate_problems(rate_per_second)
        if problems:
            raise InvalidInputError(problems)
        campaign = await self._campaigns.get(campaign_id_of(campaign_id))
        if campaign.audience.kind is AudienceKind.BROADCAST:
            raise InvalidInputError([unpaced("rate_per_second")])
        await self._told(campaign_id, "set_rate", rate_per_second)
        await self._campaigns.store_rate(campaign.id, rate_per_second)
        return await self._book.get(campaign_id)

    async def _told(self, campaign_id: str, update: str, argument: float | None = None) -> Campaign:
        """Have the run do as told, which is started first if there is none; the campaign as it is then."""
        campaign = await self._controllable(campaign_id)
        try:
            try:
                await self._control(campaign_id=str(campaign.id), update=update, argument=argument)
            except NotFoundError:
                # It may have ended since it was read; a finished one gets no run.
                await self._acceptance.start(await self._controllable(campaign_id))
                await self._control(campaign_id=str(campaign.id), update=update, argument=argument)
        except ConflictError as error:
            if error.code != _RUN_ENDED:
                raise
            campaign = await self._campaigns.get(campaign.id)
            state = campaign.state.value if campaign.is_final else "being ended"
            raise CampaignFinishedError(state) from error
        return await self._book.get(campaign_id)

    async def _controllable(self, campaign_id: str) -> CampaignModel:
        campaign = await self._campaigns.get(campaign_id_of(campaign_id))
        refuse_uncontrollable(campaign)
        return campaign


def refuse_uncontrollable(campaign: CampaignModel) -> None:
    """Raise CampaignFinishedError or CampaignDryRunError where there is nothing to send or to stop."""
    if campaign.is_final:
        raise CampaignFinishedError(campaign.state.value)
    if campaign.dry_run:
        raise CampaignDryRunError

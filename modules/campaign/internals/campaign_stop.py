"""Says whether a campaign may still send: its activity was told to stop, or its record says so."""

from __future__ import annotations

import asyncio

from bson import ObjectId

from modules.application.errors import ServiceError, UnavailableError
from modules.campaign.internals.store.campaign_model import CampaignModel
from modules.campaign.internals.store.campaign_repository import CampaignRepository


class CampaignStop:
    """A SendingStop for one slice. Lives on one event loop.

    `told` is set where the activity is told to end; `is_ended`: nothing of the campaign is to be sent any
    more. Whoever pauses or cancels counts on the record: where this version cannot read it, nothing goes out.
    """

    def __init__(self, campaigns: CampaignRepository, campaign_id: ObjectId, told: asyncio.Event) -> None:
        self._campaigns = campaigns
        self._campaign_id = campaign_id
        self.told = told
        self._is_unreadable = False
        self.by_record = False
        self.is_ended = False

    def is_set(self) -> bool:
        return self.told.is_set() or self.by_record or self._is_unreadable

    async def look(self) -> bool:
        """Read the record; whether to stop, which is then so until `begin`.

        Raises UnavailableError when MongoDB does not answer.
        """
        try:
            campaign = await self._campaigns.get_latest(self._campaign_id)
        except UnavailableError:
            raise
        except ServiceError:
            self._is_unreadable = True
        else:
            self.by_record = self.by_record or campaign.is_silent
            self.is_ended = campaign.is_ended
        return self.is_set()

    async def begin(self) -> CampaignModel:
        """The campaign as its record is now, and what that says from now on; raises as `get_latest` does."""
        campaign = await self._campaigns.get_latest(self._campaign_id)
        self.by_record, self.is_ended = campaign.is_silent, campaign.is_ended
        self._is_unreadable = False
        return campaign

"""The contract of the store of campaigns, in memory."""

from __future__ import annotations

from tests.support.store_contracts.campaign_store import CampaignStoreContract
from tests.support.store_contracts.databases import OverMongomock


class TestOverMongomock(OverMongomock, CampaignStoreContract):
    pass

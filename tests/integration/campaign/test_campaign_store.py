"""The contract of the store of campaigns, on the real MongoDB."""

from __future__ import annotations

from tests.support.store_contracts.campaign_store import CampaignStoreContract
from tests.support.store_contracts.databases import OverMongoDB


class TestOverMongoDB(OverMongoDB, CampaignStoreContract):
    pass

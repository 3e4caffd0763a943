"""The contract of the store of campaign pages, on the real MongoDB."""

from __future__ import annotations

from tests.support.store_contracts.campaign_page_store import CampaignPageStoreContract
from tests.support.store_contracts.databases import OverMongoDB


class TestOverMongoDB(OverMongoDB, CampaignPageStoreContract):
    pass

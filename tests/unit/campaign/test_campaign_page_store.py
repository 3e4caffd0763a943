"""The contract of the store of campaign pages, in memory."""

from __future__ import annotations

from tests.support.store_contracts.campaign_page_store import CampaignPageStoreContract
from tests.support.store_contracts.databases import OverMongomock


class TestOverMongomock(OverMongomock, CampaignPageStoreContract):
    pass

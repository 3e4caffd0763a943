"""The contract of the store of preferences, in memory."""

from __future__ import annotations

from tests.support.store_contracts.databases import OverMongomock
from tests.support.store_contracts.preference_store import PreferenceStoreContract


class TestOverMongomock(OverMongomock, PreferenceStoreContract):
    pass

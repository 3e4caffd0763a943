"""The contract of the store of preferences, on the real MongoDB."""

from __future__ import annotations

from tests.support.store_contracts.databases import OverMongoDB
from tests.support.store_contracts.preference_store import PreferenceStoreContract


class TestOverMongoDB(OverMongoDB, PreferenceStoreContract):
    pass

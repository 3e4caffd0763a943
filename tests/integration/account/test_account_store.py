"""The contract of the store of accounts, on the real MongoDB."""

from __future__ import annotations

from tests.support.store_contracts.account_store import AccountStoreContract
from tests.support.store_contracts.databases import OverMongoDB


class TestOverMongoDB(OverMongoDB, AccountStoreContract):
    pass

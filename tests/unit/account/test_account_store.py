"""The contract of the store of accounts, in memory."""

from __future__ import annotations

from tests.support.store_contracts.account_store import AccountStoreContract
from tests.support.store_contracts.databases import OverMongomock


class TestOverMongomock(OverMongomock, AccountStoreContract):
    pass

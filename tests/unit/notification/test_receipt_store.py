"""The contract of the store of receipts, in memory."""

from __future__ import annotations

from tests.support.store_contracts.databases import OverMongomock
from tests.support.store_contracts.receipt_store import ReceiptStoreContract


class TestOverMongomock(OverMongomock, ReceiptStoreContract):
    pass

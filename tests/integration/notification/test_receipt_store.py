"""The contract of the store of receipts, on the real MongoDB."""

from __future__ import annotations

from tests.support.store_contracts.databases import OverMongoDB
from tests.support.store_contracts.receipt_store import ReceiptStoreContract


class TestOverMongoDB(OverMongoDB, ReceiptStoreContract):
    pass

"""The contract of the store of devices, on the real MongoDB."""

from __future__ import annotations

from tests.support.store_contracts.databases import OverMongoDB
from tests.support.store_contracts.device_store import DeviceStoreContract


class TestOverMongoDB(OverMongoDB, DeviceStoreContract):
    pass

"""The contract of the store of devices, in memory."""

from __future__ import annotations

from tests.support.store_contracts.databases import OverMongomock
from tests.support.store_contracts.device_store import DeviceStoreContract


class TestOverMongomock(OverMongomock, DeviceStoreContract):
    pass

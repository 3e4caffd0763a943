"""The contract of the store of push notifications, on the real MongoDB."""

from __future__ import annotations

from tests.support.store_contracts.databases import OverMongoDB
from tests.support.store_contracts.push_notification_store import PushNotificationStoreContract


class TestOverMongoDB(OverMongoDB, PushNotificationStoreContract):
    pass

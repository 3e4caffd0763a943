"""The contract of the store of push notifications, in memory."""

from __future__ import annotations

from tests.support.store_contracts.databases import OverMongomock
from tests.support.store_contracts.push_notification_store import PushNotificationStoreContract


class TestOverMongomock(OverMongomock, PushNotificationStoreContract):
    pass

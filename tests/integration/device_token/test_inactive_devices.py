"""Devices that were inactive for long leave by themselves."""

from __future__ import annotations

from typing import Any

from pymongo.collection import Collection

from modules.application.event_loop_thread import EventLoopThread
from modules.application.mongo_database import MongoDatabase
from modules.device_token.device_token_service import DeviceTokenService

Devices = type[DeviceTokenService]
Stored = Collection[dict[str, Any]]
DAY = 86_400


def test_mongodb_removes_inactive_devices_and_no_others(devices: Devices, stored: Stored) -> None:
    index = stored.index_information()["inactive"]
    assert index["key"] == [("state_changed_at", 1)]
    assert index["expireAfterSeconds"] == 270 * DAY
    assert index["partialFilterExpression"] == {"state": "inactive"}


def test_another_setting_changes_the_index(
    devices: Devices, stored: Stored, database: MongoDatabase, loop_thread: EventLoopThread
) -> None:
    loop_thread.run(devices.start(database=database, loop_thread=loop_thread, inactive_days=30))
    assert stored.index_information()["inactive"]["expireAfterSeconds"] == 30 * DAY

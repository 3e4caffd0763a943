"""Finding devices on a real MongoDB: in order, bounded, and reading exactly what is returned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, OperationFailure

from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Platform, TargetKind
from tests.integration.device_token.device_documents import make_device

Devices = type[DeviceTokenService]
Stored = Collection[dict[str, Any]]
Profiled = Callable[[Callable[[], object]], list[dict[str, Any]]]


@pytest.fixture
def crowd(stored: Stored) -> None:
    """Eighty accounts with three devices of two apps each, and one inactive."""
    stored.insert_many(
        make_device(
            f"acc-{account}",
            number,
            app_id="other" if number == 2 else "default",
            state="inactive" if number == 3 else "active",
        )
        for account in range(80)
        for number in range(4)
    )


def read_by_index(entries: list[dict[str, Any]], *, returned: int, index: str) -> None:
    """Assert one operation that read only what it returned, by this index, sorting nothing in memory."""
    assert len(entries) == 1
    entry = entries[0]
    assert entry["planSummary"].startswith(f"IXSCAN {{ {index}"), entry["planSummary"]
    assert entry["docsExamined"] == returned
    assert not entry.get("hasSortStage", False)


@pytest.mark.usefixtures("crowd")
def test_active_devices_come_last_seen_first(devices: Devices, profiled: Profiled) -> None:
    entries = profiled(lambda: devices.active_devices(account_id="acc-7"))
    found = devices.active_devices(account_id="acc-7")
    assert [device.address for device in found] == ["acc-7/2", "acc-7/1", "acc-7/0"]
    read_by_index(entries, returned=3, index="account_id: 1, state: 1, last_seen_at: -1")


@pytest.mark.usefixtures("crowd")
def test_active_devices_of_one_app(devices: Devices, profiled: Profiled) -> None:
    entries = profiled(lambda: devices.active_devices(account_id="acc-7", app_id="other"))
    found = devices.active_devices(account_id="acc-7", app_id="other")
    assert [device.address for device in found] == ["acc-7/2"]
    read_by_index(entries, returned=1, index="account_id: 1, state: 1, last_seen_at: -1")


@pytest.mark.usefixtures("crowd")
def test_a_limit_ends_the_read(devices: Devices, profiled: Profiled) -> None:
    entries = profiled(lambda: devices.active_devices(account_id="acc-7", limit=2))
    found = devices.active_devices(account_id="acc-7", limit=2)
    assert [device.address for device in found] == ["acc-7/2", "acc-7/1"]
    read_by_index(entries, returned=2, index="account_id: 1, state: 1, last_seen_at: -1")


@pytest.mark.usefixtures("crowd")
def test_devices_of_many_accounts_are_those_of_each_in_one_read(devices: Devices, profiled: Profiled) -> None:
    account_ids = [f"acc-{number}" for number in range(20, 60)] + ["nobody", "acc-20"]
    entries = profiled(lambda: devices.active_devices_for(account_ids=account_ids))
    found = devices.active_devices_for(account_ids=account_ids)
    assert found == {account_id: devices.active_devices(account_id=account_id) for account_id in account_ids}
    assert found["nobody"] == []
    read_by_index(entries, returned=120, index="account_id: 1, state: 1, last_seen_at: -1")


@pytest.mark.usefixtures("crowd")
def test_limit_and_app_hold_for_each_of_many_accounts(devices: Devices) -> None:
    account_ids = ["acc-3", "acc-4"]
    found = devices.active_devices_for(account_ids=account_ids, app_id="default", limit=1)
    addresses = {account_id: [device.address for device in own] for account_id, own in found.items()}
    assert addresses == {"acc-3": ["acc-3/1"], "acc-4": ["acc-4/1"]}
    assert devices.active_devices_for(account_ids=[]) == {}


@pytest.mark.usefixtures("crowd")
@pytest.mark.parametrize("limit", [5, 500])
def test_accounts_of_many_devices_are_told_whole_beside_others(devices: Devices, limit: int) -> None:
    for number in range(30):
        devices.register_device(
            account_id="acc-3",
            app_id="default",
            platform=Platform.ANDROID,
            kind=TargetKind.TOKEN,
            address=f"acc-3/many/{number:02}",
        )
    account_ids = ["acc-2", "acc-3", "acc-4"]
    found = devices.active_devices_for(account_ids=account_ids, limit=limit)
    assert found == {each: devices.active_devices(account_id=each, limit=limit) for each in account_ids}
    assert len(found["acc-3"]) == min(limit, 33)


@pytest.mark.usefixtures("crowd")
def test_listing_reads_what_it_returns(devices: Devices, profiled: Profiled) -> None:
    entries = profiled(lambda: devices.list_devices(account_id="acc-7", include_inactive=True))
    found = devices.list_devices(account_id="acc-7", include_inactive=True)
    assert [device.address for device in found] == ["acc-7/3", "acc-7/2", "acc-7/1", "acc-7/0"]
    assert len(devices.list_devices(account_id="acc-7", include_inactive=True, limit=2)) == 2
    read_by_index(entries, returned=4, index="account_id: 1, state: 1, last_seen_at: -1")


@pytest.mark.usefixtures("crowd")
def test_a_registration_finds_its_device_by_address(devices: Devices, profiled: Profiled) -> None:
    entries = profiled(
        lambda: devices.register_device(
            account_id="acc-7", platform=Platform.IOS, kind=TargetKind.TOKEN, address="acc-7/1"
        )
    )
    read_by_index(entries, returned=1, index="app_id: 1, kind: 1, address: 1")


@pytest.mark.usefixtures("crowd")
def test_the_database_itself_keeps_an_address_unique(stored: Stored) -> None:
    with pytest.raises(DuplicateKeyError):
        stored.insert_one({**make_device("acc-1", 1), "account_id": "acc-2"})


@pytest.mark.parametrize("over", [{"state": "gone"}, {"platform": "toaster"}, {"version": 0}, {"extra": 1}])
def test_the_database_refuses_other_shapes(stored: Stored, over: dict[str, Any]) -> None:
    with pytest.raises(OperationFailure, match="validation"):
        stored.insert_one(make_device("acc-1", 1, **over))

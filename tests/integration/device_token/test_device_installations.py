"""One installation of an app is one device in use, at whatever addresses it was registered."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from pymongo.collection import Collection

from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Device, DeviceState, Platform, TargetKind
from tests.integration.device_token.device_documents import make_device
from tests.integration.device_token.retirement import quarantine

Devices = type[DeviceTokenService]
Stored = Collection[dict[str, Any]]
Profiled = Callable[[Callable[[], object]], list[dict[str, Any]]]
FID = "cW3k1vJxQ0aB-dE_fGhIjK"
TOKEN = f"{FID}:APA91bFirst"
REFRESHED = f"{FID}:APA91bSecond"


def words(address: str, **over: Any) -> dict[str, Any]:
    kind = TargetKind.TOKEN if ":" in address else TargetKind.FID
    return {
        "account_id": "acc-1",
        "platform": Platform.ANDROID,
        "kind": kind,
        "address": address,
        **over,
    }


def in_use(devices: Devices, *account_ids: str) -> list[Device]:
    found = devices.active_devices_for(account_ids=account_ids or ["acc-1"])
    return [device for each in found.values() for device in each]


@pytest.mark.parametrize("account_id", ["acc-1", "acc-2"])
@pytest.mark.parametrize(
    ("first", "second"), [(TOKEN, FID), (FID, TOKEN), (TOKEN, REFRESHED), (REFRESHED, TOKEN)]
)
def test_the_address_registered_last_supersedes_the_others(
    devices: Devices, stored: Stored, first: str, second: str, account_id: str
) -> None:
    before = devices.register_device(**words(first))
    after = devices.register_device(**words(second, account_id=account_id))
    assert after.state is DeviceState.ACTIVE
    assert in_use(devices, "acc-1", account_id) == [after]
    superseded = stored.find_one({"address": before.address})
    assert superseded is not None
    assert (superseded["state"], superseded["state_reason"]) == ("inactive", "superseded_by_installation")
    assert superseded["version"] == before.version + 1
    back = devices.register_device(**words(first))
    assert in_use(devices, "acc-1", "acc-2") == [back]


def test_what_looks_alike_and_is_another_installation_stays(devices: Devices) -> None:
    others = [
        devices.register_device(**words(address, **over))
        for address, over in [
            (f"{FID}X", {}),
            (f"{FID}X:APA91b", {"kind": "token", "app_id": "other"}),
            (FID[:-1], {}),
            (f"{FID}:XYZ", {}),
            (TOKEN, {"app_id": "other"}),
        ]
    ]
    mine = devices.register_device(**words(TOKEN))
    assert {device.id for device in in_use(devices)} == {mine.id, *(each.id for each in others)}


def test_a_quarantined_address_is_superseded_too(devices: Devices) -> None:
    first = devices.register_device(**words(TOKEN))
    quarantine(devices, device_id=first.id, version=first.version, code="SENDER_ID_MISMATCH")
    second = devices.register_device(**words(REFRESHED))
    listed = devices.list_devices(account_id="acc-1", include_inactive=True)
    assert [(each.id, each.state) for each in listed] == [
        (second.id, DeviceState.ACTIVE),
        (first.id, DeviceState.INACTIVE),
    ]


async def test_addresses_registered_at_once_leave_one_in_use(devices: Devices) -> None:
    for _ in range(8):
        fid = f"c{uuid.uuid4().hex[:21]}"
        addresses = [fid, *(f"{fid}:APA91b{number}" for number in range(4))] * 2
        await asyncio.gather(
            *(
                devices.register_device_async(**words(address, account_id=f"{fid}-{number % 3}"))
                for number, address in enumerate(addresses)
            )
        )
        found = await devices.active_devices_for_async(account_ids=[f"{fid}-{number}" for number in range(3)])
        assert sum(map(len, found.values())) == 1


async def test_a_device_seen_again_while_its_token_changes_leaves_one_in_use(devices: Devices) -> None:
    for _ in range(15):
        fid = f"c{uuid.uuid4().hex[:21]}"
        old = words(f"{fid}:APA91bOld", account_id=fid)
        await devices.register_device_async(**old)
        await asyncio.gather(
            devices.register_device_async(**old),
            devices.register_device_async(**words(f"{fid}:APA91bNew", account_id=fid)),
            devices.register_device_async(**old),
        )
        listed = await devices.list_devices_async(account_id=fid)
        assert len(listed) == 1


def test_of_devices_stored_before_the_one_seen_last_is_told(devices: Devices, stored: Stored) -> None:
    stored.insert_many(
        [
            make_device("acc-1", 1, address=TOKEN),
            make_device("acc-1", 2, address=FID, kind="fid"),
            make_device("acc-1", 3, address=TOKEN, app_id="other"),
            make_device("acc-2", 4, address="plain"),
        ]
    )
    for found in (
        devices.active_devices(account_id="acc-1"),
        devices.active_devices_for(account_ids=["acc-1", "acc-2"])["acc-1"],
    ):
        assert [(device.app_id, device.address) for device in found] == [("other", TOKEN), ("default", FID)]
    seen = devices.register_device(**words(TOKEN))
    listed = devices.list_devices(account_id="acc-1")
    assert [device.id for device in listed if device.app_id == "default"] == [seen.id]


def test_a_device_seen_again_costs_two_reads_of_index_entries_and_one_write(
    devices: Devices, stored: Stored, profiled: Profiled
) -> None:
    others = [f"{FID[:-3]}{number:03}:APA91b" for number in range(999)]
    stored.insert_many(make_device("acc-9", 1, address=address) for address in others)
    devices.register_device(**words(TOKEN))
    entries = profiled(lambda: devices.register_device(**words(TOKEN)))
    assert [entry["op"] for entry in entries] == ["query", "command"]
    assert max(entry["keysExamined"] for entry in entries) <= 3
    assert max(entry["docsExamined"] for entry in entries) <= 1

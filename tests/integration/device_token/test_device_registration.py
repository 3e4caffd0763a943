"""Registering devices on a real MongoDB: one owner an address, whatever happens at once."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.collection import Collection

from modules.application.errors import InvalidInputError
from modules.application.event_loop_thread import EventLoopThread
from modules.application.mongo_database import MongoDatabase
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Device, DeviceState, Platform, TargetKind

Devices = type[DeviceTokenService]
Stored = Collection[dict[str, Any]]
ADDRESS = "the-secret-address"


def registration(**over: Any) -> dict[str, Any]:
    words = {
        "account_id": "acc-1",
        "platform": Platform.ANDROID,
        "kind": TargetKind.TOKEN,
        "address": ADDRESS,
    }
    return {**words, **over}


def test_a_registered_device_is_active_and_seen(devices: Devices) -> None:
    device = devices.register_device(**registration(platform="ios", kind="fid"))
    assert devices.active_devices(account_id="acc-1") == [device]
    assert (device.account_id, device.app_id, device.platform) == ("acc-1", "default", Platform.IOS)
    assert (device.kind, device.address, device.state) == (TargetKind.FID, ADDRESS, DeviceState.ACTIVE)
    assert (device.version, device.state_reason) == (1, None)
    assert device.registered_at == device.last_seen_at == device.state_changed_at


def test_registering_again_is_the_same_device_seen_later(devices: Devices, stored: Stored) -> None:
    first = devices.register_device(**registration())
    stored.update_one({}, [{"$set": {"last_seen_at": {"$subtract": ["$last_seen_at", 60_000]}}}])
    second = devices.register_device(**registration(platform="web"))
    assert second.id == first.id
    assert second.version == first.version + 1
    assert second.platform is Platform.WEB
    assert second.registered_at == first.registered_at
    assert second.state_changed_at == first.state_changed_at
    assert second.last_seen_at >= first.last_seen_at
    assert stored.count_documents({}) == 1


@pytest.mark.parametrize("over", [{"app_id": "other"}, {"kind": "fid"}, {"address": "another"}])
def test_app_kind_and_address_together_are_a_device(devices: Devices, over: dict[str, str]) -> None:
    first = devices.register_device(**registration())
    second = devices.register_device(**registration(**over))
    assert {device.id for device in devices.active_devices(account_id="acc-1")} == {first.id, second.id}


def test_an_address_leaves_the_account_it_was_registered_under(devices: Devices) -> None:
    before = devices.register_device(**registration())
    after = devices.register_device(**registration(account_id="acc-2"))
    assert devices.list_devices(account_id="acc-1", include_inactive=True) == []
    assert devices.list_devices(account_id="acc-2") == [after]
    assert after.id == before.id
    assert after.registered_at >= before.registered_at
    assert after.state_changed_at == after.registered_at


@pytest.mark.parametrize("account_id", ["$address", "$$ROOT", "$$NOW", "{}", "a.b"])
def test_an_account_id_is_only_a_text(devices: Devices, account_id: str) -> None:
    device = devices.register_device(**registration(account_id=account_id))
    assert device.account_id == account_id
    assert devices.active_devices(account_id=account_id) == [device]


def test_an_address_is_only_a_text(devices: Devices) -> None:
    assert devices.register_device(**registration(address="$account_id")).address == "$account_id"


def test_times_are_the_databases(devices: Devices) -> None:
    real = datetime.now(UTC)
    with time_machine.travel(real + timedelta(days=1), tick=True):
        device = devices.register_device(**registration())
    assert abs(device.last_seen_at - real) < timedelta(minutes=1)


def test_nothing_is_written_when_something_is_wrong(devices: Devices, stored: Stored) -> None:
    with pytest.raises(InvalidInputError) as refused:
        devices.register_device(**registration(account_id="", platform="toaster", kind=None))
    assert len(refused.value.problems) == 3
    assert stored.count_documents({}) == 0


async def test_parallel_first_registrations_make_one_device(devices: Devices, stored: Stored) -> None:
    for _ in range(5):
        address = uuid.uuid4().hex
        seen = await asyncio.gather(
            *(devices.register_device_async(**registration(address=address)) for _ in range(40))
        )
        assert {device.id for device in seen} == {str(d["_id"]) for d in stored.find({"address": address})}
        assert sorted(device.version for device in seen) == list(range(1, 41))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), min_size=2, max_size=30))
def test_however_accounts_race_an_address_has_one_owner(
    devices: Devices, loop_thread: EventLoopThread, claims: list[tuple[int, int]]
) -> None:
    run = uuid.uuid4().hex

    async def race() -> list[Device]:
        return await asyncio.gather(
            *(
                devices.register_device_async(
                    **registration(account_id=f"{run}-{account}", address=f"{run}-{address}")
                )
                for account, address in claims
            )
        )

    returned = loop_thread.run(race())
    accounts = sorted({f"{run}-{account}" for account, _ in claims})
    found = devices.active_devices_for(account_ids=accounts)
    owned = [device for owners in found.values() for device in owners]
    assert sorted(device.address for device in owned) == sorted({f"{run}-{address}" for _, address in claims})
    last = {device.address: device for device in sorted(returned, key=lambda device: device.version)}
    assert {device.address: device for device in owned} == last


def test_starting_again_keeps_everything(
    devices: Devices, database: MongoDatabase, loop_thread: EventLoopThread
) -> None:
    device = devices.register_device(**registration())
    loop_thread.run(devices.start(database=database, loop_thread=loop_thread))
    assert devices.active_devices(account_id="acc-1") == [device]

"""An account has no more active devices than the setting says, and is told on all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from pymongo.collection import Collection

from modules.application.event_loop_thread import EventLoopThread
from modules.application.mongo_database import MongoDatabase
from modules.application.transactions import in_transaction
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.errors import DeviceNotFoundError, TooManyDevicesError
from modules.device_token.internals.store import device_repository
from modules.device_token.types import Device, DeviceState, Platform, TargetKind
from tests.integration.device_token.device_documents import make_device
from tests.integration.device_token.retirement import quarantine

Devices = type[DeviceTokenService]
Stored = Collection[dict[str, Any]]
LIMIT = 3


@pytest.fixture
def few(devices: Devices, database: MongoDatabase, loop_thread: EventLoopThread) -> Iterator[Devices]:
    """The service where an account has at most three devices."""
    loop_thread.run(devices.start(database=database, loop_thread=loop_thread, max_per_account=LIMIT))
    yield devices


def words(address: str, **over: Any) -> dict[str, Any]:
    return {
        "account_id": "acc-1",
        "platform": Platform.ANDROID,
        "kind": TargetKind.TOKEN,
        "address": address,
        **over,
    }


def register(devices: Devices, address: str, **over: Any) -> Device:
    return devices.register_device(**words(address, **over))


def test_a_device_beyond_the_limit_is_refused_and_nothing_written(few: Devices, stored: Stored) -> None:
    for number in range(LIMIT):
        register(few, f"address-{number}")
    before = list(stored.find())
    with pytest.raises(TooManyDevicesError) as refused:
        register(few, "one-more")
    assert (refused.value.code, refused.value.limit) == ("too_many_devices", LIMIT)
    assert str(LIMIT) in refused.value.reason
    assert "one-more" not in str(refused.value)
    assert list(stored.find()) == before
    register(few, "one-more", account_id="acc-2")


def test_a_reinstatement_that_landed_unconfirmed_is_not_refused_for_itself(
    few: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = register(few, "address-0")
    quarantine(few, device_id=device.id, version=device.version, code="SENDER_ID_MISMATCH")
    for number in range(1, LIMIT):
        register(few, f"address-{number}")

    async def unconfirmed(database: Any, work: Callable[..., Awaitable[Any]]) -> Any:
        await in_transaction(database, work)
        return await in_transaction(database, work)

    monkeypatch.setattr(device_repository, "in_transaction", unconfirmed)
    assert few.reinstate_device(device_id=device.id).state is DeviceState.ACTIVE


def test_a_device_that_is_known_or_moves_within_its_installation_is_not_refused(few: Devices) -> None:
    known = [register(few, f"address-{number}") for number in range(LIMIT - 1)]
    register(few, "fid:APA91bFirst")
    assert register(few, known[0].address).id == known[0].id
    refreshed = register(few, "fid:APA91bSecond")
    as_id = register(few, "fid", kind=TargetKind.FID)
    active = few.active_devices(account_id="acc-1")
    assert {device.id for device in active} == {as_id.id, *(device.id for device in known)}
    assert refreshed.id not in {device.id for device in active}


def test_inactive_and_quarantined_devices_do_not_count(few: Devices) -> None:
    first, second, _ = [register(few, f"address-{number}") for number in range(LIMIT)]
    few.deactivate_device(account_id="acc-1", device_id=first.id)
    register(few, "another")
    quarantine(few, device_id=second.id, version=second.version, code="SENDER_ID_MISMATCH")
    register(few, "yet-another")
    with pytest.raises(TooManyDevicesError):
        register(few, first.address)
    with pytest.raises(TooManyDevicesError):
        few.reinstate_device(device_id=second.id)
    states = [device.state for device in few.list_devices(account_id="acc-1", include_inactive=True)]
    assert states.count(DeviceState.ACTIVE) == LIMIT


def test_a_device_that_comes_from_another_account_counts(few: Devices) -> None:
    theirs = register(few, "theirs", account_id="acc-2")
    for number in range(LIMIT):
        register(few, f"address-{number}")
    with pytest.raises(TooManyDevicesError):
        register(few, "theirs")
    assert few.active_devices(account_id="acc-2") == [theirs]


async def test_however_many_register_at_once_the_limit_holds(few: Devices) -> None:
    for run in range(3):
        account_id = f"acc-{run}"
        told = await asyncio.gather(
            *(
                few.register_device_async(**words(f"{run}-{number}", account_id=account_id))
                for number in range(12)
            ),
            return_exceptions=True,
        )
        refused = [each for each in told if isinstance(each, TooManyDevicesError)]
        registered = [each for each in told if isinstance(each, Device)]
        assert (len(registered), len(refused)) == (LIMIT, 12 - LIMIT)
        active = await few.active_devices_async(account_id=account_id)
        assert {device.id for device in active} == {device.id for device in registered}


def test_an_account_that_had_more_before_keeps_them_all(few: Devices, stored: Stored) -> None:
    stored.insert_many(make_device("acc-1", number) for number in range(520))
    assert len(few.active_devices(account_id="acc-1")) == 520
    assert len(few.active_devices_for(account_ids=["acc-1", "acc-2"])["acc-1"]) == 520
    with pytest.raises(TooManyDevicesError):
        register(few, "one-more")
    register(few, "acc-1/7")


def test_a_listing_has_pages(devices: Devices, stored: Stored) -> None:
    states = ["active", "inactive", "quarantined"]
    stored.insert_many(
        # Three at a time were seen at the same moment.
        make_device("acc-1", number // 3, address=f"address-{number}", state=states[number % 3])
        for number in range(20)
    )
    whole = devices.list_devices(account_id="acc-1", include_inactive=True)
    assert len(whole) == 20
    paged: list[Device] = []
    while page := devices.list_devices(
        account_id="acc-1",
        include_inactive=True,
        after_device_id=paged[-1].id if paged else None,
        limit=3,
    ):
        paged += page
    assert paged == whole


@pytest.mark.parametrize("after", ["0" * 24, "no id at all", "theirs"])
def test_a_page_begins_after_a_device_of_the_account(devices: Devices, after: str) -> None:
    theirs = register(devices, "theirs", account_id="acc-2")
    with pytest.raises(DeviceNotFoundError):
        devices.list_devices(account_id="acc-1", after_device_id=theirs.id if after == "theirs" else after)

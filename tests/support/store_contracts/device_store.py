"""What holds of stored devices over any database: how they are found, ordered, paged and erased."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from modules.application.errors import UnreadableRecordError
from modules.application.repository import Document
from modules.device_token.internals.store.device_locks import DeviceLocks
from modules.device_token.internals.store.device_model import DeviceModel
from modules.device_token.internals.store.device_repository import DeviceRepository
from modules.device_token.types import Device, DeviceCriteria, DeviceState, Platform, TargetKind
from tests.support.store_contracts.databases import RECENTLY, Database, Prepare, put, put_unchecked

EVERY_STATE = tuple(DeviceState)
MINUTE = timedelta(minutes=1)


def make_document(account_id: str, number: int, **over: Any) -> Document:
    """The account's device of this number: the higher, the later seen."""
    seen = RECENTLY + number * MINUTE
    fields = {
        "account_id": account_id,
        "app_id": "default",
        "platform": Platform.ANDROID,
        "kind": TargetKind.TOKEN,
        "address": f"{account_id}/{number}",
        "state": DeviceState.ACTIVE,
        "state_reason": None,
        "state_changed_at": seen,
        "registered_at": seen,
        "last_seen_at": seen,
        "version": 1,
        **over,
    }
    device_id = ObjectId()
    return {**DeviceModel(_id=str(device_id), **fields).model_dump(by_alias=True), "_id": device_id}


def addresses(devices: Sequence[Device]) -> list[str]:
    return [device.address for device in devices]


class DeviceStoreContract:
    @pytest.fixture
    async def devices(self, database: Database, prepare: Prepare) -> DeviceRepository:
        devices = DeviceRepository(database, DeviceLocks(database), inactive_days=90)
        await prepare(devices)
        return devices

    @pytest.fixture
    async def crowd(self, database: Database, devices: DeviceRepository) -> None:
        """Three accounts with four devices each, stored in no order: one of another app, one out of use."""
        await put(
            database,
            devices,
            *(
                make_document(
                    account_id,
                    number,
                    app_id="other" if number == 2 else "default",
                    state=DeviceState.INACTIVE if number == 3 else DeviceState.ACTIVE,
                )
                for number in (1, 3, 0, 2)
                for account_id in ("bob", "ana", "carl")
            ),
        )

    async def test_a_device_is_found_as_it_is_stored(
        self, database: Database, devices: DeviceRepository
    ) -> None:
        document = make_document(
            "ana",
            0,
            app_id="other",
            platform=Platform.IOS,
            kind=TargetKind.FID,
            state=DeviceState.QUARANTINED,
            state_reason="SENDER_ID_MISMATCH",
            state_changed_at=RECENTLY + MINUTE,
            registered_at=RECENTLY - MINUTE,
            version=7,
        )
        await put(database, devices, document, make_document("ana", 1))
        assert await devices.find(str(document["_id"])) == Device(
            id=str(document["_id"]),
            account_id="ana",
            app_id="other",
            platform=Platform.IOS,
            kind=TargetKind.FID,
            address="ana/0",
            state=DeviceState.QUARANTINED,
            state_reason="SENDER_ID_MISMATCH",
            state_changed_at=RECENTLY + MINUTE,
            registered_at=RECENTLY - MINUTE,
            last_seen_at=RECENTLY,
            version=7,
        )

    @pytest.mark.parametrize("device_id", ["0" * 24, "nonsense", ""])
    async def test_no_device_is_found_under_an_id_that_none_has(
        self, devices: DeviceRepository, device_id: str
    ) -> None:
        assert await devices.find(device_id) is None

    async def test_what_cannot_be_read_is_an_error_without_the_address(
        self, database: Database, devices: DeviceRepository
    ) -> None:
        document = {**make_document("ana", 0), "platform": "toaster"}
        await put_unchecked(database, devices, document)
        with pytest.raises(UnreadableRecordError) as refused:
            await devices.find(str(document["_id"]))
        assert refused.value.fields == ("platform",)
        assert "ana/0" not in str(refused.value)

    @pytest.mark.usefixtures("crowd")
    async def test_active_devices_come_last_seen_first(self, devices: DeviceRepository) -> None:
        found = await devices.active(account_id="ana", app_id=None, limit=10)
        assert addresses(found) == ["ana/2", "ana/1", "ana/0"]

    @pytest.mark.usefixtures("crowd")
    async def test_a_limit_and_an_app_narrow_what_is_active(self, devices: DeviceRepository) -> None:
        assert addresses(await devices.active(account_id="bob", app_id=None, limit=2)) == ["bob/2", "bob/1"]
        assert addresses(await devices.active(account_id="bob", app_id="other", limit=10)) == ["bob/2"]
        assert await devices.active(account_id="bob", app_id="third", limit=10) == []
        assert await devices.active(account_id="dora", app_id=None, limit=10) == []

    async def test_devices_seen_at_one_moment_come_newest_first(
        self, database: Database, devices: DeviceRepository
    ) -> None:
        documents = [make_document("ana", number, last_seen_at=RECENTLY) for number in range(5)]
        await put(database, devices, *documents)
        newest_first = sorted((str(document["_id"]) for document in documents), reverse=True)
        found = await devices.active(account_id="ana", app_id=None, limit=10)
        assert [device.id for device in found] == newest_first

    async def test_pages_hold_every_device_of_the_account_once_in_order(
        self, database: Database, devices: DeviceRepository
    ) -> None:
        # Three at a moment, so that pages begin and end within one.
        moments = [RECENTLY + (number // 3) * MINUTE for number in range(10)]
        await put(
            database,
            devices,
            *(make_document("ana", number, last_seen_at=seen) for number, seen in enumerate(moments)),
            make_document("bob", 99),
        )
        whole = await devices.devices_of(account_id="ana", states=EVERY_STATE, after=None, limit=100)
        assert len(whole) == 10
        keys = [(device.last_seen_at, device.id) for device in whole]
        assert keys == sorted(keys, reverse=True)
        for limit in (1, 2, 3, 7):
            paged: list[Device] = []
            while page := await devices.devices_of(
                account_id="ana", states=EVERY_STATE, after=paged[-1] if paged else None, limit=limit
            ):
                paged += page
                assert paged == whole[: len(paged)]
                assert len(page) <= limit
            assert paged == whole

    @pytest.mark.usefixtures("crowd")
    @pytest.mark.parametrize(
        ("states", "found"),
        [
            (EVERY_STATE, ["ana/3", "ana/2", "ana/1", "ana/0"]),
            ((DeviceState.ACTIVE,), ["ana/2", "ana/1", "ana/0"]),
            ((DeviceState.INACTIVE, DeviceState.QUARANTINED), ["ana/3"]),
            ((DeviceState.QUARANTINED,), []),
        ],
    )
    async def test_devices_are_listed_by_state(
        self, devices: DeviceRepository, states: tuple[DeviceState, ...], found: list[str]
    ) -> None:
        listed = await devices.devices_of(account_id="ana", states=states, after=None, limit=10)
        assert addresses(listed) == found

    async def test_pages_of_accounts_hold_each_once_in_order(
        self, database: Database, devices: DeviceRepository
    ) -> None:
        # More devices an account than a page reads keys.
        await put(
            database,
            devices,
            *(make_document(f"acc-{account}", number) for number in range(9) for account in (3, 0, 4, 1, 2)),
        )
        expected = [f"acc-{account}" for account in range(5)]
        for limit in (1, 2, 3, 5, 100):
            paged: list[str] = []
            while page := await devices.accounts_with_devices(
                DeviceCriteria(), after_account_id=paged[-1] if paged else None, limit=limit
            ):
                assert len(page) == min(limit, len(expected) - len(paged))
                paged += page
            assert paged == expected

    @pytest.mark.parametrize(
        ("criteria", "found"),
        [
            (DeviceCriteria(), ["android", "both", "ios", "other", "seen"]),
            (DeviceCriteria(platforms=(Platform.IOS,)), ["both", "ios"]),
            (DeviceCriteria(platforms=(Platform.IOS, Platform.WEB)), ["both", "ios", "seen"]),
            (DeviceCriteria(app_id="other"), ["other"]),
            (DeviceCriteria(app_id="default", platforms=(Platform.ANDROID,)), ["android", "both"]),
            (DeviceCriteria(last_seen_after=RECENTLY), ["seen"]),
            (DeviceCriteria(last_seen_before=RECENTLY), []),
            (DeviceCriteria(last_seen_before=RECENTLY + MINUTE), ["android", "both", "ios", "other"]),
            (DeviceCriteria(last_seen_after=RECENTLY, platforms=(Platform.IOS,)), []),
        ],
    )
    async def test_an_account_is_found_by_one_active_device_for_which_all_holds(
        self, database: Database, devices: DeviceRepository, criteria: DeviceCriteria, found: list[str]
    ) -> None:
        web, ios = {"platform": Platform.WEB}, {"platform": Platform.IOS}
        await put(
            database,
            devices,
            make_document("android", 0),
            make_document("ios", 0, **ios),
            make_document("both", 0),
            make_document("both", 0, address="both/ios", **ios),
            make_document("other", 0, app_id="other"),
            make_document("seen", 60, **web),
            make_document("gone", 60, state=DeviceState.INACTIVE, **web),
            make_document("refused", 60, state=DeviceState.QUARANTINED, **ios),
        )
        assert await devices.accounts_with_devices(criteria, after_account_id=None, limit=10) == found

    @pytest.mark.usefixtures("crowd")
    async def test_every_device_of_one_account_is_erased_and_no_other(
        self, devices: DeviceRepository
    ) -> None:
        assert [await devices.erase("ana") for _ in range(2)] == [4, 0]
        for account_id, count in (("ana", 0), ("bob", 4), ("carl", 4)):
            left = await devices.devices_of(account_id=account_id, states=EVERY_STATE, after=None, limit=10)
            assert len(left) == count

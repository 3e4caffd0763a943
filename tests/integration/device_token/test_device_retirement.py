"""Taking devices out of use and back, on a real MongoDB."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.collection import Collection

from modules.application.errors import InvalidInputError
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.errors import DeviceNotFoundError, DeviceNotQuarantinedError
from modules.device_token.types import Device, DeviceRetirement, DeviceState, Platform, TargetKind
from tests.integration.device_token.device_documents import make_device
from tests.integration.device_token.retirement import deactivate_dead, quarantine

Devices = type[DeviceTokenService]
Stored = Collection[dict[str, Any]]
NO_DEVICE = "0" * 24


def register(devices: Devices, **over: Any) -> Device:
    words = {
        "account_id": "acc-1",
        "platform": Platform.ANDROID,
        "kind": TargetKind.TOKEN,
        "address": "the-secret-address",
    }
    return devices.register_device(**{**words, **over})


def report_on(device: Device, code: str) -> dict[str, Any]:
    return {"device_id": device.id, "version": device.version, "code": code}


def states(devices: Devices, account_id: str = "acc-1") -> list[tuple[DeviceState, str | None]]:
    listed = devices.list_devices(account_id=account_id, include_inactive=True)
    return [(device.state, device.state_reason) for device in listed]


def test_an_account_deactivates_its_device(devices: Devices) -> None:
    device = register(devices)
    gone = devices.deactivate_device(account_id="acc-1", device_id=device.id)
    assert gone.state is DeviceState.INACTIVE
    assert devices.active_devices(account_id="acc-1") == []
    assert devices.list_devices(account_id="acc-1") == []
    assert devices.list_devices(account_id="acc-1", include_inactive=True) == [gone]
    assert devices.deactivate_device(account_id="acc-1", device_id=device.id) == gone


def test_nobody_deactivates_the_device_of_another(devices: Devices) -> None:
    device = register(devices)
    for account_id, device_id in (("acc-2", device.id), ("acc-1", NO_DEVICE), ("acc-1", "no id at all")):
        with pytest.raises(DeviceNotFoundError):
            devices.deactivate_device(account_id=account_id, device_id=device_id)
    assert devices.active_devices(account_id="acc-1") == [device]


def test_the_app_brings_a_deactivated_device_back(devices: Devices) -> None:
    device = register(devices)
    devices.deactivate_device(account_id="acc-1", device_id=device.id)
    back = register(devices)
    assert (back.id, back.state, back.state_reason) == (device.id, DeviceState.ACTIVE, None)
    assert devices.active_devices(account_id="acc-1") == [back]


def test_a_dead_address_is_deactivated_once(devices: Devices) -> None:
    device = register(devices)
    report = report_on(device, "UNREGISTERED")
    assert deactivate_dead(devices, **report) is True
    assert deactivate_dead(devices, **report) is False
    assert states(devices) == [(DeviceState.INACTIVE, "UNREGISTERED")]


async def test_of_parallel_reports_of_one_death_one_is_the_first(devices: Devices) -> None:
    device = await asyncio.to_thread(register, devices)
    dead = DeviceRetirement(
        device_id=device.id, version=device.version, state=DeviceState.INACTIVE, code="UNREGISTERED"
    )
    told = await asyncio.gather(*(devices.retire_devices_async(retirements=[dead]) for _ in range(40)))
    assert sorted(map(len, told)) == [0] * 39 + [1]


@pytest.mark.parametrize("account_id", ["acc-1", "acc-2"])
def test_a_device_registered_meanwhile_stays_active(devices: Devices, account_id: str) -> None:
    sent_to = register(devices)
    register(devices, account_id=account_id)
    assert not deactivate_dead(devices, device_id=sent_to.id, version=sent_to.version, code="UNREGISTERED")
    assert not quarantine(devices, device_id=sent_to.id, version=sent_to.version, code="SENDER_ID_MISMATCH")
    assert states(devices, account_id) == [(DeviceState.ACTIVE, None)]


def test_quarantine_is_reversible(devices: Devices) -> None:
    device = register(devices)
    assert quarantine(devices, device_id=device.id, version=device.version, code="SENDER_ID_MISMATCH")
    assert states(devices) == [(DeviceState.QUARANTINED, "SENDER_ID_MISMATCH")]
    assert devices.active_devices(account_id="acc-1") == []
    back = devices.reinstate_device(device_id=device.id)
    assert devices.active_devices(account_id="acc-1") == [back]
    assert devices.reinstate_device(device_id=device.id) == back


def test_an_account_deactivates_a_quarantined_device(devices: Devices) -> None:
    device = register(devices)
    quarantine(devices, **report_on(device, "SENDER_ID_MISMATCH"))
    devices.deactivate_device(account_id="acc-1", device_id=device.id)
    assert states(devices) == [(DeviceState.INACTIVE, "deactivated_by_account")]


def test_the_app_ends_a_quarantine(devices: Devices) -> None:
    device = register(devices)
    quarantine(devices, **report_on(device, "SENDER_ID_MISMATCH"))
    back = register(devices)
    assert (back.state, back.state_reason) == (DeviceState.ACTIVE, None)
    assert devices.active_devices(account_id="acc-1") == [back]


def test_what_was_learned_before_a_reinstatement_is_not_held_against_it(devices: Devices) -> None:
    device = register(devices)
    report = report_on(device, "SENDER_ID_MISMATCH")
    quarantine(devices, **report)
    devices.reinstate_device(device_id=device.id)
    assert quarantine(devices, **report) is False
    assert states(devices) == [(DeviceState.ACTIVE, None)]


def test_an_inactive_device_is_not_reinstated(devices: Devices) -> None:
    device = register(devices)
    devices.deactivate_device(account_id="acc-1", device_id=device.id)
    with pytest.raises(DeviceNotQuarantinedError):
        devices.reinstate_device(device_id=device.id)


def test_an_unknown_device_is_an_error_to_people_and_nothing_to_delivery(devices: Devices) -> None:
    with pytest.raises(DeviceNotFoundError):
        devices.reinstate_device(device_id=NO_DEVICE)
    assert deactivate_dead(devices, device_id=NO_DEVICE, version=1, code="UNREGISTERED") is False


def test_a_reason_is_only_a_text(devices: Devices) -> None:
    device = register(devices)
    deactivate_dead(devices, device_id=device.id, version=device.version, code="$address")
    assert states(devices) == [(DeviceState.INACTIVE, "$address")]


def test_a_wrong_report_changes_nothing(devices: Devices) -> None:
    device = register(devices)
    with pytest.raises(InvalidInputError):
        deactivate_dead(devices, device_id=device.id, version=0, code="UNREGISTERED")
    assert devices.active_devices(account_id="acc-1") == [device]


@dataclass
class Expected:
    """What one address should look like, told without MongoDB."""

    owner: str = ""
    state: DeviceState | None = None
    version: int = 0
    id: str = NO_DEVICE
    versions_seen: list[int] = field(default_factory=lambda: [1])

    def register(self, owner: str) -> None:
        self.owner, self.state = owner, DeviceState.ACTIVE
        self._next()

    def change(self, to: DeviceState, *, only_from: set[DeviceState]) -> bool:
        if self.state not in only_from:
            return False
        self.state = to
        self._next()
        return True

    def _next(self) -> None:
        self.version += 1
        self.versions_seen.append(self.version)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["register", "deactivate", "dead", "quarantine", "reinstate"]),
        st.sampled_from(["a", "b"]),
        st.booleans(),
    ),
    max_size=12,
)
IN_USE = {DeviceState.ACTIVE}


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_a_device_goes_only_where_it_may(devices: Devices, steps: list[tuple[str, str, bool]]) -> None:
    run = uuid.uuid4().hex
    expected = Expected()
    for step, account, fresh in steps:
        account_id = f"{run}-{account}"
        version = expected.versions_seen[-1 if fresh else 0]
        current = version == expected.version
        if step == "register":
            expected.register(account_id)
            expected.id = register(devices, account_id=account_id, address=run).id
        elif step == "deactivate":
            if expected.owner != account_id:
                with pytest.raises(DeviceNotFoundError):
                    devices.deactivate_device(account_id=account_id, device_id=expected.id)
                continue
            expected.change(DeviceState.INACTIVE, only_from={DeviceState.ACTIVE, DeviceState.QUARANTINED})
            devices.deactivate_device(account_id=account_id, device_id=expected.id)
        elif step == "reinstate":
            if expected.state in (None, DeviceState.INACTIVE):
                with pytest.raises((DeviceNotFoundError, DeviceNotQuarantinedError)):
                    devices.reinstate_device(device_id=expected.id)
                continue
            expected.change(DeviceState.ACTIVE, only_from={DeviceState.QUARANTINED})
            devices.reinstate_device(device_id=expected.id)
        else:
            to = DeviceState.INACTIVE if step == "dead" else DeviceState.QUARANTINED
            report = deactivate_dead if step == "dead" else quarantine
            changed = current and expected.change(to, only_from=IN_USE)
            assert report(devices, device_id=expected.id, version=version, code="CODE") is changed
    found = [
        device
        for account in ("a", "b")
        for device in devices.list_devices(account_id=f"{run}-{account}", include_inactive=True)
    ]
    assert [(device.account_id, device.state, device.version) for device in found] == (
        [(expected.owner, expected.state, expected.version)] if expected.state else []
    )


def retirements_of(devices: Sequence[Device]) -> list[DeviceRetirement]:
    """Every second one of them dead, the others refused."""
    words = [(DeviceState.INACTIVE, "UNREGISTERED"), (DeviceState.QUARANTINED, "SENDER_ID_MISMATCH")]
    return [
        DeviceRetirement(device_id=device.id, version=device.version, state=state, code=code)
        for device, (state, code) in zip(devices, itertools.cycle(words), strict=False)
    ]


def test_five_hundred_dead_devices_are_retired_in_a_few_commands(
    devices: Devices, profiled: Callable[[Callable[[], object]], list[dict[str, Any]]], stored: Stored
) -> None:
    stored.insert_many(make_device("acc-1", number) for number in range(500))
    active = devices.active_devices(account_id="acc-1")
    entries = profiled(lambda: devices.retire_devices(retirements=retirements_of(active)))
    assert len(entries) == 3
    assert devices.active_devices(account_id="acc-1") == []
    told = [(document["state"], document["state_reason"]) for document in stored.find()]
    assert Counter(told) == {("inactive", "UNREGISTERED"): 250, ("quarantined", "SENDER_ID_MISMATCH"): 250}
    assert {document["version"] for document in stored.find()} == {2}


def test_of_many_retired_at_once_those_that_changed_meanwhile_stay(devices: Devices) -> None:
    sent_to = [register(devices, address=f"address-{number}") for number in range(4)]
    back = register(devices, address="address-1")
    devices.deactivate_device(account_id="acc-1", device_id=sent_to[2].id)
    missing = DeviceRetirement(device_id=NO_DEVICE, version=1, state=DeviceState.INACTIVE, code="GONE")
    retired = devices.retire_devices(retirements=[*retirements_of(sent_to), missing])
    assert retired == {sent_to[0].id, sent_to[3].id}
    assert devices.active_devices(account_id="acc-1") == [back]
    assert devices.retire_devices(retirements=retirements_of(sent_to)) == set()


async def test_of_parallel_reports_of_many_deaths_each_is_told_once(devices: Devices) -> None:
    dead = [await asyncio.to_thread(register, devices, address=f"address-{number}") for number in range(20)]
    told = await asyncio.gather(
        *(devices.retire_devices_async(retirements=retirements_of(dead[start:])) for start in range(8))
    )
    assert Counter(each for ids in told for each in ids) == Counter(device.id for device in dead)


def test_nobody_is_retired_into_use(devices: Devices) -> None:
    device = register(devices)
    wrong = DeviceRetirement(device_id=device.id, version=1, state=DeviceState.ACTIVE, code="CODE")
    with pytest.raises(InvalidInputError):
        devices.retire_devices(retirements=[wrong])
    assert devices.retire_devices(retirements=[]) == set()

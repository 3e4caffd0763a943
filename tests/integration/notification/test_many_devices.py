"""An account with many devices: every one is told once, the row says so, and the dead ones leave together."""

from __future__ import annotations

from collections import Counter

import pytest

from local_stack.local_stack_service import LocalStack
from modules.campaign.types import AccountList
from modules.device_token.types import DeviceState, TargetKind
from modules.notification.types import Outcome, Status
from tests.integration.device_token.device_documents import make_device
from tests.support.campaigns import campaign_room
from tests.support.push_service import ACCOUNT, PushService

MANY = 520


def store_devices(
    service: PushService, count: int, instruction: str = "", account_id: str = ACCOUNT
) -> set[str]:
    addresses = [service.token(instruction) for _ in range(count)]
    devices = service.rows.database["devices"]
    devices.insert_many(
        make_device(ACCOUNT, number, address=address) for number, address in enumerate(addresses)
    )
    return set(addresses)


@pytest.mark.parametrize("rows", [1, 2])
def test_all_of_five_hundred_and_twenty_devices_are_told(service: PushService, rows: int) -> None:
    addresses = store_devices(service, MANY)
    others = [f"account-{number}" for number in range(rows - 1)]
    for other in others:
        service.register(account_id=other)
    notification_id, *more = [service.send(account_id=each) for each in [ACCOUNT, *others]]
    report, *_ = service.deliver(notification_id, *more)
    assert (report.status, report.accepted, report.failed) == (Status.SENT, MANY, 0)
    told = Counter(entry["target"] for entry in service.accepted())
    assert {address: told[address] for address in addresses} == dict.fromkeys(addresses, 1)
    document = service.stored(notification_id)
    assert len(document["provider_message_ids"]) == MANY
    assert set(document["device_tokens_used"]) == addresses
    outcomes = Counter(device.outcome for device in service.read(notification_id).devices)
    assert outcomes == {Outcome.ACCEPTED: MANY}
    assert f"{MANY} device(s) accepted" in document["events"][-1]["detail"]


def test_a_campaign_and_its_dry_run_count_all_of_them(stack: LocalStack, database_name: str) -> None:
    with campaign_room(stack, database_name) as room:
        addresses = store_devices(room.push, MANY)
        audience = AccountList(account_ids=[ACCOUNT])
        plan = room.plan(room.send(audience, key="dry", dry_run=True)).plan
        assert plan is not None
        assert (plan.accounts, plan.devices, plan.platforms) == (1, MANY, {"android": MANY})
        campaign_id = room.send(audience)
        report = room.deliver(campaign_id, 0, 1)
        assert (report.counts, report.attempts, report.errors) == ({"sent": 1}, MANY, 0)
        told = Counter(entry["target"] for entry in room.push.accepted())
        assert told == dict.fromkeys(addresses, 1)


def test_five_hundred_and_twenty_dead_devices_leave_and_are_named(service: PushService) -> None:
    addresses = store_devices(service, MANY, "UNREGISTERED")
    service.register()
    notification_id = service.send()
    (report,) = service.deliver(notification_id)
    assert (report.status, report.accepted, report.failed) == (Status.SENT, 1, MANY)
    assert set(service.stored(notification_id)["invalid_tokens"]) == addresses
    devices = service.rows.database["devices"]
    states = Counter((each["state"], each["state_reason"]) for each in devices.find())
    assert states == {(DeviceState.INACTIVE, "UNREGISTERED"): MANY, (DeviceState.ACTIVE, None): 1}


def test_an_installation_stored_under_two_addresses_is_told_once(service: PushService) -> None:
    fid = service.token()
    devices = service.rows.database["devices"]
    devices.insert_many(
        [
            make_device(ACCOUNT, 1, address=fid, kind="fid"),
            make_device(ACCOUNT, 2, address=f"{fid}:APA91bOlder"),
            make_device(ACCOUNT, 3, address=f"{fid}:APA91bNewer"),
        ]
    )
    (report,) = service.deliver(service.send())
    assert (report.status, report.accepted, report.failed) == (Status.SENT, 1, 0)
    assert [entry["target"] for entry in service.accepted()] == [f"{fid}:APA91bNewer"]


@pytest.mark.parametrize("first", ["token", "fid"])
def test_an_installation_registered_in_both_ways_is_told_once(service: PushService, first: str) -> None:
    fid = service.token()
    ways = [("fid", fid), ("token", f"{fid}:APA91bToken")]
    if first == "token":
        ways.reverse()
    for kind, address in ways:
        service.register(kind=TargetKind(kind), address=address)
    (report,) = service.deliver(service.send())
    assert (report.status, report.accepted, report.failed) == (Status.SENT, 1, 0)
    assert [entry["target"] for entry in service.accepted()] == [ways[-1][1]]

"""Faults 14, 25 and 26: what the provider, or our own door, refuses for good."""

from __future__ import annotations

import pytest

from bootstrap import Role
from modules.application.errors import InvalidInputError
from modules.notification.notification_service import NotificationService
from modules.notification.types import SendPushParams
from tests.support.fault_room import FaultRoom

ROWS = 10
LIMIT = 4_096


def test_fault_14_oversized_payload(room: FaultRoom) -> None:
    """Refused at the door with the limit and the size; nothing is written or sent."""
    room.register("account")
    body = "ä" * 2_100

    with pytest.raises(InvalidInputError) as refused:
        NotificationService.send_push_for_account(
            account_id="account", params=SendPushParams(title=room.title, body=body), immediate=True
        )

    reason = refused.value.reason.replace(",", "")
    sizes = [int(word) for word in reason.split() if word.isdigit()]
    assert LIMIT in sizes
    assert max(sizes) > len(body.encode())
    assert body not in reason
    assert room.rows() == []
    assert room.audit() == []


def test_fault_25_unregistered_token(room: FaultRoom) -> None:
    """The device is deactivated once and never sent to again; the account's other device is told once."""
    room.become(Role.WORKER)
    dead, alive = room.register("account", "sim-UNREGISTERED"), room.register("account")
    before = room.simulator.stats()
    ids = room.send_many(["account"] * ROWS)
    room.finish()
    asked = room.simulator.stats()["requests"] - before["requests"]

    rows = [room.row(each) for each in ids]
    assert {(row["status"], row["retry_count"]) for row in rows} == {("sent", 0)}
    device = room.device(dead.id)
    assert (device["state"], device["state_reason"]) == ("inactive", "UNREGISTERED")
    assert device["version"] == room.device(alive.id)["version"] + 1
    assert ROWS < asked <= 2 * ROWS

    room.send("account", immediate=True)

    assert room.simulator.stats()["requests"] - before["requests"] == asked + 1
    assert len(room.audit()) == ROWS + 1
    room.assert_invariant()


def test_fault_26_bad_payload(room: FaultRoom) -> None:
    """Final at once, with the provider's code; the device stays, the next message reaches it."""
    room.become(Role.WORKER)
    device = room.register("account")
    room.simulator.add_rule(http_status=400, times=1)
    refused = room.send("account")
    room.finish()

    row = room.row(refused)
    assert (row["status"], row["error_type"], row["retry_count"]) == ("failed", "INVALID_ARGUMENT", 0)
    assert room.device(device.id)["state"] == "active"
    assert room.audit() == []

    later = room.send("account", immediate=True)

    assert room.row(later)["status"] == "sent"
    assert len(room.audit()) == 1
    room.assert_invariant()

"""Faults 18, 30 and 31: one idempotency key used again, a hundred times at once, and for something else."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bootstrap import Role
from modules.notification.errors import IdempotencyKeyConflictError
from modules.notification.notification_service import NotificationService
from tests.support.fault_room import FaultRoom

KEY = "order-4711"
CALLS = 100


def send(room: FaultRoom, *, immediate: bool = True, body: str | None = None) -> str:
    return NotificationService.send_push_for_account(
        account_id="account",
        params=replace(room.params(), body=body or room.body),
        immediate=immediate,
        idempotency_key=KEY,
    )


def test_fault_18_duplicate_key(room: FaultRoom) -> None:
    """The first result is returned, from this process and another one; nothing is sent a second time."""
    caller = room.caller(account_id="account", immediate=True, idempotency_key=KEY)
    assert caller.exit_code() == 0
    [row] = room.rows()
    room.become(Role.CALLER)

    assert send(room) == str(row["_id"]) == send(room)

    assert room.rows() == [row]
    assert (row["status"], len(room.audit())) == ("sent", 1)
    room.assert_invariant()


def test_fault_30_the_same_key_a_hundred_times_at_once(room: FaultRoom) -> None:
    """One row, one send, one id."""
    room.register("account")

    async def all_at_once() -> list[str]:
        return await asyncio.gather(
            *(
                NotificationService.send_push_for_account_async(
                    account_id="account", params=room.params(), immediate=True, idempotency_key=KEY
                )
                for _ in range(CALLS)
            )
        )

    ids = asyncio.run(all_at_once())

    [row] = room.rows()
    assert set(ids) == {str(row["_id"])}
    assert (row["status"], row["fence"], len(room.audit())) == ("sent", 1, 1)
    room.assert_invariant()


def test_fault_31_the_same_key_with_another_body(room: FaultRoom) -> None:
    """Refused, nothing written, nothing sent, and the first one stands."""
    room.register("account")
    first = send(room)

    with pytest.raises(IdempotencyKeyConflictError):
        send(room, body="another body")
    with pytest.raises(IdempotencyKeyConflictError):
        send(room, immediate=False)

    [row] = room.rows()
    assert (str(row["_id"]), row["status"]) == (first, "sent")
    assert len(room.audit()) == 1
    room.assert_invariant()

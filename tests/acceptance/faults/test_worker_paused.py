"""Fault 8: a worker is stopped (SIGSTOP) for longer than its lease and goes on (SIGCONT)."""

from __future__ import annotations

import asyncio

import pytest

from modules.notification.notification_service import NotificationService
from tests.support.fault_room import FaultRoom

DELAY_MS = 4_000


# The paused worker keeps its task, so that nothing but the fence stands between it and the row.
@pytest.mark.parametrize("room", [{"TEMPORAL_WORKFLOW_TASK_TIMEOUT_SECONDS": 60}], indirect=True)
def test_fault_08_paused_while_sending(room: FaultRoom) -> None:
    """Another process has delivered meanwhile: the fence refuses what the paused one wants to write."""
    [account] = room.accounts(1)
    notification_id = room.send(account)
    sleeper = room.worker()
    room.simulator.add_rule(delay_ms=DELAY_MS, times=1)
    room.start_worker(notification_id)
    room.wait_for_audit(1)
    sleeper.pause()
    room.wait_until(lambda: room.due_count() == 1)
    asyncio.run(NotificationService.deliver_async(notification_ids=[notification_id]))
    row = room.row(notification_id)
    assert row["status"] == "sent"
    sleeper.resume()

    room.wait_until(lambda: "push.fenced" in sleeper.output)

    assert room.row(notification_id) == row
    assert (row["fence"], row["lost_claims"], len(room.audit())) == (2, 1, 2)
    room.assert_invariant()


def test_fault_08_paused_before_sending(room: FaultRoom) -> None:
    """The paused worker finds its task gone or its claim ended, and writes nothing."""
    [account] = room.accounts(1)
    notification_id = room.send(account)
    # A token that is over at once, so that the send needs another one.
    room.simulator.set_oauth(expires_in_seconds=1)
    sleeper = room.worker()
    room.simulator.set_oauth(delay_ms=DELAY_MS, times=1)
    room.start_worker(notification_id)
    room.wait_for_status(notification_id, "processing")
    sleeper.pause()
    room.worker()
    row = room.wait_for_status(notification_id, "sent")
    sleeper.resume()

    signs = ("push.claim_lost", "push.fenced", "Task not found when completing")
    room.wait_until(lambda: any(sign in sleeper.output for sign in signs))

    assert room.row(notification_id) == row
    assert (row["fence"], row["lost_claims"]) == (2, 1)
    room.assert_invariant()

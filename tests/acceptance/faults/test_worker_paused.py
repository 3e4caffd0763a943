"""Fault 8: a worker is stopped (SIGSTOP) for longer than its lease and goes on (SIGCONT)."""

from __future__ import annotations

from tests.support.fault_room import FaultRoom

DELAY_MS = 4_000


def test_fault_08_paused_while_sending(room: FaultRoom) -> None:
    """Another worker has delivered meanwhile: the fence refuses what the paused one wants to write."""
    [account] = room.accounts(1)
    notification_id = room.send(account)
    sleeper = room.worker()
    room.simulator.add_rule(delay_ms=DELAY_MS, times=1)
    room.start_worker(notification_id)
    room.wait_for_audit(1)
    sleeper.pause()
    room.worker()
    row = room.wait_for_status(notification_id, "sent")
    sleeper.resume()

    room.wait_until(lambda: "push.fenced" in sleeper.output)

    assert room.row(notification_id) == row
    assert (row["fence"], row["lost_claims"], len(room.audit())) == (2, 1, 2)
    room.assert_invariant()


def test_fault_08_paused_before_sending(room: FaultRoom) -> None:
    """The paused worker notices by itself that its claim has ended, and sends nothing."""
    [account] = room.accounts(1)
    notification_id = room.send(account)
    sleeper = room.worker()
    room.simulator.set_oauth(delay_ms=DELAY_MS, times=1)
    room.start_worker(notification_id)
    room.wait_for_status(notification_id, "processing")
    sleeper.pause()
    room.worker()
    row = room.wait_for_status(notification_id, "sent")
    sleeper.resume()

    room.wait_until(lambda: "push.claim_lost" in sleeper.output or "push.fenced" in sleeper.output)

    assert room.row(notification_id) == row
    assert (row["fence"], len(room.audit())) == (2, 1), sleeper.output
    room.assert_invariant()

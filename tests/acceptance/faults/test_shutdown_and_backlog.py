"""Faults 7 and 9: workers that end in good order under load, and workers that were all gone for a while."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from tests.support.fault_room import FaultRoom
from tests.support.invariant import unknown_sends

ROWS = 80
FIRST_ACCEPTED = 8
LATENCY_MS = 300


def test_fault_07_sigterm_under_load(room: FaultRoom) -> None:
    """What runs is finished, the process ends with 0, nothing is lost and nothing repeated."""
    room.send_many(room.accounts(1) * ROWS)
    room.simulator.set_latency(LATENCY_MS)
    # Fewer at a time than there are rows: some are left for the next worker, however fast this one is.
    leaver = room.worker(WORKER_MAX_CONCURRENT_DELIVERIES=FIRST_ACCEPTED)
    with ThreadPoolExecutor(1) as pool:
        scanning = pool.submit(room.scan)
        room.wait_for_audit(FIRST_ACCEPTED)
        leaver.terminate()
        assert leaver.exit_code() == 0
        rows = room.rows()
        assert [row for row in rows if row["status"] == "processing"] == []
        assert sum(row["status"] == "sent" for row in rows) == len(room.audit()) < ROWS
        room.worker()
        scanning.result()

    room.finish()

    assert len(room.audit()) == ROWS
    assert unknown_sends(room.rows()) == 0
    room.assert_invariant()


def test_fault_09_all_workers_down_then_up(room: FaultRoom) -> None:
    """The backlog drains; what expired meanwhile is not sent."""
    [account] = room.accounts(1)
    room.worker().kill()
    in_time = room.send_many([account] * 15)
    expires_at = datetime.now(UTC) + timedelta(seconds=2)
    too_late = room.send_many([account] * 5, expires_at=expires_at)
    room.wait_until(lambda: datetime.now(UTC) > expires_at)
    room.worker()

    room.finish()

    statuses = {str(row["_id"]): row["status"] for row in room.rows()}
    assert {statuses[each] for each in in_time} == {"sent"}
    assert {statuses[each] for each in too_late} == {"expired"}
    assert len(room.audit()) == len(in_time)
    room.assert_invariant()

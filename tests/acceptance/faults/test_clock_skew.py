"""Fault 32: the clocks of worker processes are off by five minutes, in both directions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.fault_room import LEASE_SECONDS, FaultRoom
from tests.support.invariant import unknown_sends

SKEW_SECONDS = 300.0


@pytest.mark.parametrize("skew_seconds", [SKEW_SECONDS, -SKEW_SECONDS])
def test_fault_32_expiry_is_the_databases(room: FaultRoom, skew_seconds: float) -> None:
    """What has not expired is sent by a worker in the future; what has, by none that lives in the past."""
    [account] = room.accounts(1)
    now = datetime.now(UTC)
    alive = room.send(account, expires_at=now + timedelta(minutes=2))
    expires_at = datetime.now(UTC) + timedelta(seconds=1)
    dead = room.send(account, expires_at=expires_at)
    room.wait_until(lambda: datetime.now(UTC) > expires_at)
    room.worker(skew_seconds=skew_seconds)

    room.finish()

    assert (room.row(alive)["status"], room.row(dead)["status"]) == ("sent", "expired")
    [entry] = room.audit()
    assert entry["android_tag"] == alive
    ttl_seconds = float(str(entry["ttl"]).removesuffix("s"))
    assert 60 < ttl_seconds <= 120
    room.assert_invariant()


def test_fault_32_leases_are_the_databases(room: FaultRoom) -> None:
    """Two workers ten minutes apart: neither takes a row from the other while its lease is renewed."""
    for skew_seconds in (SKEW_SECONDS, -SKEW_SECONDS):
        room.worker(skew_seconds=skew_seconds)
    ids = room.send_many(room.accounts(1) * 8)
    room.simulator.set_latency(int(LEASE_SECONDS * 1000) + 1_000)
    started_at = datetime.now(UTC)
    room.scan()

    def all_sent() -> bool:
        if not room.audit():
            return False
        assert room.due_count() == 0, "a lease was not renewed"
        return all(row["status"] == "sent" for row in room.rows())

    room.wait_until(all_sent, within_seconds=30)

    rows = room.rows()
    assert {row["fence"] for row in rows} == {1}
    assert all(abs(row["sent_at"] - started_at) < timedelta(minutes=1) for row in rows)
    assert (len(room.audit()), unknown_sends(rows)) == (len(ids), 0)
    room.assert_invariant()

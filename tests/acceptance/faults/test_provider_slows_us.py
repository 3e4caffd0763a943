"""Faults 22, 23 and 27: the provider asks us to wait, fails, or refuses our credentials."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from bootstrap import Role
from tests.support.fault_room import FaultRoom
from tests.support.invariant import unknown_sends

RETRY_AFTER_SECONDS = 3
DEFAULT_BACKOFF = {"DELIVERY_MAX_BACKOFF_SECONDS": 600}
FLOOR_SECONDS = 10
ROWS = 30
MAX_RETRIES = 4


def requests(room: FaultRoom) -> int:
    return room.simulator.stats()["requests"]


def test_fault_22_too_many_requests_with_retry_after(room: FaultRoom) -> None:
    """Every row of the project waits as long as the provider says, and spends no attempt."""
    room.become(Role.WORKER)
    accounts = room.accounts(6)
    room.simulator.add_rule(error_code="QUOTA_EXCEEDED", retry_after_seconds=RETRY_AFTER_SECONDS)
    first = room.send(accounts[0])
    before = requests(room)
    room.scan()
    room.wait_until(lambda: room.row(first)["status"] == "pending" and room.row(first)["fence"] == 1)
    asked_at = room.row(first)["updated_at"]
    others = room.send_many(accounts[1:])
    room.scan()
    room.wait_until(lambda: all(room.row(each)["fence"] >= 1 for each in others))
    room.wait_until(lambda: all(room.row(each)["status"] == "pending" for each in others))

    assert requests(room) == before + 1
    assert {room.row(each)["error_type"] for each in others} == {"PROVIDER_PAUSED"}
    room.simulator.clear_rules()
    room.finish()

    rows = room.rows()
    assert {(row["status"], row["retry_count"]) for row in rows} == {("sent", 0)}
    accepted = [datetime.fromisoformat(entry["at"]) for entry in room.audit()]
    assert len(accepted) == len(accounts)
    # The row was written after the answer, a moment later than the pause began.
    assert min(accepted) > asked_at + timedelta(seconds=RETRY_AFTER_SECONDS - 0.5)
    room.assert_invariant()


@pytest.mark.parametrize("room", [DEFAULT_BACKOFF], indirect=True)
def test_fault_23_server_errors_are_retried_with_jitter(room: FaultRoom) -> None:
    """Ten seconds at the least, as FCM asks, and no two rows at the same moment."""
    room.become(Role.WORKER)
    ids = room.send_many(room.accounts(10))
    room.simulator.add_rule(error_code="INTERNAL", times=5)
    room.simulator.add_rule(http_status=503)
    room.scan()
    room.wait_until(lambda: all(room.row(each)["next_retry_at"] for each in ids))

    rows = room.rows()
    waits = [row["next_retry_at"] - row["devices"][0]["last_attempt_at"] for row in rows]
    assert all(FLOOR_SECONDS <= wait.total_seconds() <= 2 * FLOOR_SECONDS for wait in waits)
    gaps = [later - earlier for earlier, later in pairwise(sorted(waits))]
    assert sum(gap > timedelta(milliseconds=1) for gap in gaps) >= len(gaps) - 2
    assert {row["retry_count"] for row in rows} == {1}
    assert room.audit() == []


def test_fault_23_a_burst_of_server_errors_is_not_amplified(room: FaultRoom) -> None:
    """The breaker lets single probes through until the provider is well; then everything is sent once."""
    failures = ROWS + 3
    room.become(Role.WORKER)
    room.send_many(room.accounts(5) * (ROWS // 5))
    rule = room.simulator.add_rule(http_status=503, times=failures)
    before = requests(room)

    room.finish()

    rows = room.rows()
    assert {row["status"] for row in rows} == {"sent"}
    assert max(row["retry_count"] for row in rows) <= MAX_RETRIES
    [burst] = [each for each in room.simulator.rules() if each["id"] == rule]
    assert burst["matched"] == failures
    assert requests(room) - before == failures + ROWS
    assert len(room.audit()) == ROWS
    assert unknown_sends(rows) == 0
    room.assert_invariant()


@pytest.mark.parametrize("refusal", ["invalid_grant", "401", "403"])
def test_fault_27_credentials_refused(room: FaultRoom, refusal: str) -> None:
    """The breaker opens and the log says so; rows are kept, spend no retry, and are sent once mended."""
    room.become(Role.WORKER)
    accounts = room.accounts(10)
    if refusal == "invalid_grant":
        room.simulator.set_oauth("invalid_grant")
        room.simulator.revoke_tokens()
    else:
        room.simulator.add_rule(http_status=int(refusal))
    ids = room.send_many(accounts)
    before = requests(room)
    room.scan()
    room.wait_until(lambda: "breaker.opened" in room.own_log.read_text())
    room.wait_until(lambda: all(room.row(each)["error_type"] for each in ids))
    rows = room.rows()
    assert {row["status"] for row in rows} <= {"pending", "processing"}
    assert {row["retry_count"] for row in rows} == {0}
    assert any(row["error_type"] != "CIRCUIT_OPEN" for row in rows)
    assert requests(room) - before <= 2 * len(accounts)

    room.simulator.clear_rules()
    room.simulator.set_oauth()
    room.finish()

    rows = room.rows()
    assert {(row["status"], row["retry_count"]) for row in rows} == {("sent", 0)}
    assert len(room.audit()) == len(accounts)
    room.assert_invariant()


def test_fault_27_access_token_revoked(room: FaultRoom) -> None:
    """A token that is no longer taken is replaced without an operator; no row is lost or spends a retry."""
    room.become(Role.WORKER)
    accounts = room.accounts(5)
    room.send(accounts[0], immediate=True)
    room.simulator.revoke_tokens()

    room.send_many(accounts)
    room.finish()

    assert {(row["status"], row["retry_count"]) for row in room.rows()} == {("sent", 0)}
    assert len(room.audit()) == len(accounts) + 1
    room.assert_invariant()

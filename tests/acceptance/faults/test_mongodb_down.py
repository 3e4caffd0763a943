"""Faults 15 to 17: MongoDB is killed and comes back, and answers slowly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from modules.application.errors import UnavailableError
from modules.notification.notification_service import NotificationService
from tests.support.fault_room import FaultRoom
from tests.support.invariant import unknown_sends
from tests.support.slow_proxy import SlowProxy

SENDS = 400
PATIENT = {"MONGODB_SERVER_SELECTION_TIMEOUT_SECONDS": 40, "MONGODB_OPERATION_TIMEOUT_SECONDS": 40}
IMPATIENT = {"MONGODB_SERVER_SELECTION_TIMEOUT_SECONDS": 1, "MONGODB_OPERATION_TIMEOUT_SECONDS": 3}
SLOW_SECONDS = 2.0
SLOW_LEASE_SECONDS = 8.0


@pytest.fixture
def mongodb_path(room: FaultRoom) -> Iterator[SlowProxy]:
    port = urlsplit(room.stack.mongodb_uri).port
    assert port is not None
    with SlowProxy(port) as proxy:
        yield proxy


@pytest.mark.parametrize("fresh_room", [PATIENT], indirect=True)
def test_fault_15_primary_killed_during_writes(fresh_room: FaultRoom) -> None:
    """Each send that was under way is repeated by the driver and leaves one row, never two."""
    room = fresh_room
    [account] = room.accounts(1)

    def send(number: int) -> str:
        return NotificationService.send_push_for_account(
            account_id=account, params=room.params(), correlation_id=f"send-{number}"
        )

    with ThreadPoolExecutor(16) as pool:
        sends = [pool.submit(send, number) for number in range(SENDS)]
        room.wait_until(lambda: sum(each.done() for each in sends) > SENDS // 10)
        room.stack.servers["mongodb"].kill()
        assert not all(each.done() for each in sends)
        room.stack.servers["mongodb"].restart()
        ids = [each.result() for each in sends]

    rows = room.rows()
    assert {str(row["_id"]) for row in rows} == set(ids)
    assert set(Counter(row["correlation_id"] for row in rows).values()) == {1}
    assert len(rows) == SENDS


@pytest.mark.parametrize("fresh_room", [IMPATIENT], indirect=True)
def test_fault_16_mongodb_down(fresh_room: FaultRoom) -> None:
    """Nothing is acknowledged and nothing sent; caller and worker go on by themselves when it is back."""
    room = fresh_room
    [account] = room.accounts(1)
    worker = room.worker()
    room.stack.servers["mongodb"].kill()

    for immediate in (True, False):
        with pytest.raises(UnavailableError):
            room.send(account, immediate=immediate)

    assert room.audit() == []
    room.stack.servers["mongodb"].restart()
    assert room.rows() == []
    now, later = room.send(account, immediate=True), room.send(account)
    room.finish()
    assert worker.is_running
    assert {room.row(now)["status"], room.row(later)["status"]} == {"sent"}
    assert len(room.audit()) == 2
    room.assert_invariant()


@pytest.mark.parametrize("fresh_room", [IMPATIENT], indirect=True)
def test_fault_16_mongodb_down_between_the_send_and_the_write(fresh_room: FaultRoom) -> None:
    """The worker keeps the outcome until it can be written: it is not sent again."""
    room = fresh_room
    [account] = room.accounts(1)
    worker = room.worker()
    notification_id = room.send(account)
    room.simulator.add_rule(delay_ms=3_000, times=1)
    room.start_worker(notification_id)
    room.wait_for_audit(1)
    room.stack.servers["mongodb"].kill()
    room.wait_until(lambda: "push.write_retried" in worker.output)
    room.stack.servers["mongodb"].restart()

    row = room.wait_for_status(notification_id, "sent")

    assert (row["fence"], len(room.audit()), unknown_sends([row])) == (1, 1, 0)
    room.assert_invariant()


@pytest.mark.parametrize("room", [{"DELIVERY_LEASE_SECONDS": SLOW_LEASE_SECONDS}], indirect=True)
def test_fault_17_slow_mongodb(room: FaultRoom, mongodb_path: SlowProxy) -> None:
    """Every answer takes two seconds, the send longer than the lease: it is renewed, and sent once."""
    [account] = room.accounts(1)
    notification_id = room.send(account)
    room.worker(MONGODB_URI=f"mongodb://127.0.0.1:{mongodb_path.port}/?directConnection=true")
    mongodb_path.delay_seconds = SLOW_SECONDS
    room.simulator.add_rule(delay_ms=int(SLOW_LEASE_SECONDS * 1000) + 500, times=1)
    room.start_worker(notification_id)
    room.wait_for_status(notification_id, "processing")
    first_end = room.row(notification_id)["claim"]["lease_expires_at"]

    def is_sent() -> bool:
        assert room.due_count() == 0, "the lease was not renewed in time"
        return bool(room.row(notification_id)["status"] == "sent")

    room.wait_until(is_sent, within_seconds=60)

    row = room.row(notification_id)
    assert row["sent_at"] > first_end
    assert (row["fence"], len(room.audit()), unknown_sends([row])) == (1, 1, 0)
    room.assert_invariant()

"""Faults 10 and 11: Temporal is killed and comes back, in the middle of a scan and at a call."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from modules.application.errors import UnavailableError
from modules.application.worker import Lane
from modules.notification.errors import ImmediateSendDeferredError
from modules.notification.workers.push_notifications_worker import START_ACTIVITY
from tests.support.fault_room import FaultRoom
from tests.support.invariant import unknown_sends

ROWS = 120
PAGE = 10


@pytest.mark.parametrize("fresh_room", [{"SCAN_PAGE_SIZE": PAGE}], indirect=True)
def test_fault_10_temporal_restarts_during_a_scan(fresh_room: FaultRoom) -> None:
    """The scan goes on from its cursor; every row is sent once."""
    room = fresh_room
    room.send_many(room.accounts(1) * ROWS)
    room.worker()

    def scan() -> None:
        with suppress(UnavailableError):
            room.scan()

    with ThreadPoolExecutor(1) as pool:
        scanning = pool.submit(scan)
        room.wait_for_audit(PAGE)
        room.stack.servers["temporal"].kill()
        assert len(room.audit()) < ROWS
        room.stack.servers["temporal"].restart()
        scanning.result()
    room.wait_until(lambda: all(row["status"] == "sent" for row in room.rows()), within_seconds=60)

    assert len(room.audit()) == ROWS
    assert unknown_sends(room.rows()) == 0
    # The very run that was interrupted has done it, and only its first page began without a cursor.
    master_queue = room.task_queue(Lane.MASTER)
    assert room.probe.executions(master_queue) == 1
    pages = room.probe.activity_inputs(master_queue, START_ACTIVITY)
    assert len(pages) > 1
    assert [page["cursor"] is None for page in pages] == [True] + [False] * (len(pages) - 1)
    room.assert_invariant()


@pytest.mark.parametrize("fresh_room", [{"TEMPORAL_CONNECT_TIMEOUT_SECONDS": 2}], indirect=True)
def test_fault_11_temporal_unreachable_at_the_call(
    fresh_room: FaultRoom, capfd: pytest.CaptureFixture[str]
) -> None:
    """The caller is told by a typed error that carries the id; the master worker delivers it, once."""
    room = fresh_room
    [account] = room.accounts(1)
    room.stack.servers["temporal"].kill()

    with pytest.raises(ImmediateSendDeferredError) as deferred:
        room.send(account, immediate=True)

    assert "temporalio" not in "".join(capfd.readouterr()), "the caller's output is its own"
    notification_id = deferred.value.notification_id
    assert room.row(notification_id)["status"] == "pending"
    assert room.audit() == []
    room.stack.servers["temporal"].restart()
    room.worker()
    room.finish()
    assert room.row(notification_id)["status"] == "sent"
    assert len(room.audit()) == 1
    later = room.send(account, immediate=True)
    assert room.row(later)["status"] == "sent"
    room.assert_invariant()

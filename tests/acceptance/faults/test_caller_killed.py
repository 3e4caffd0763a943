"""Faults 5 and 6: the process that calls the service is killed in the middle of an immediate send."""

from __future__ import annotations

import pytest

from tests.support.fault_room import FaultRoom
from tests.support.invariant import is_final
from tests.support.slow_proxy import SlowProxy


def test_fault_05_killed_between_the_row_and_the_start(room: FaultRoom) -> None:
    """The row stands and no workflow does: the master worker starts it, once."""
    with SlowProxy(int(room.stack.temporal_address.rpartition(":")[2])) as temporal_path:
        temporal_path.hold()
        room.environment["TEMPORAL_ADDRESS"] = f"127.0.0.1:{temporal_path.port}"
        caller = room.caller(account_id="caller", immediate=True, idempotency_key="once")
        room.wait_until(lambda: len(room.rows()) == 1, within_seconds=40)
        caller.kill()
        [row] = room.rows()
        assert (row["status"], row["fence"]) == ("pending", 0)
    room.environment["TEMPORAL_ADDRESS"] = room.stack.temporal_address
    room.worker()

    assert room.scan().started == 1

    row = room.wait_for_status(str(row["_id"]), "sent")
    assert (row["fence"], len(room.audit())) == (1, 1)
    room.assert_invariant()


@pytest.mark.parametrize(("while_sending", "accepted"), [(True, 2), (False, 1)])
def test_fault_06_killed_after_the_eager_start(room: FaultRoom, while_sending: bool, accepted: int) -> None:
    """The workflow ran in the killed process: a worker is given it after the task's timeout."""
    heir = room.worker()
    if while_sending:
        room.simulator.add_rule(effect="hang", times=1)
    else:
        # Tokens that are over at once, so that the send needs another one.
        room.simulator.set_oauth(expires_in_seconds=1, delay_ms=3_000)
    caller = room.caller(account_id="caller", immediate=True, idempotency_key=None)
    room.wait_until(lambda: any(row["status"] == "processing" for row in room.rows()), within_seconds=40)
    if while_sending:
        room.wait_for_audit(1)
    caller.kill()
    room.simulator.set_oauth()
    [row] = room.rows()
    workflow_id = f"push-notification/{row['_id']}"
    assert room.probe.was_taken_by(caller.pid, workflow_id)

    room.wait_until(lambda: all(is_final(each) for each in room.rows()))

    [row] = room.rows()
    assert (row["status"], row["lost_claims"], len(room.audit())) == ("sent", 1, accepted)
    assert room.probe.was_taken_by(heir.pid, workflow_id)
    room.assert_invariant()

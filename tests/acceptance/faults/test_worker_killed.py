"""Faults 1 to 4: a worker is killed with SIGKILL at each step of a delivery, another one takes over."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from modules.notification.types import OutcomePolicy
from tests.support.fault_room import FaultRoom
from tests.support.invariant import unknown_sends
from tests.support.slow_proxy import SlowProxy

TOKEN_DELAY_MS = 8_000
SEND_DELAY_MS = 2_000


@pytest.fixture
def mongodb_path(room: FaultRoom) -> Iterator[SlowProxy]:
    port = urlsplit(room.stack.mongodb_uri).port
    assert port is not None
    with SlowProxy(port) as proxy:
        yield proxy


@pytest.fixture
def temporal_path(room: FaultRoom) -> Iterator[SlowProxy]:
    with SlowProxy(int(room.stack.temporal_address.rpartition(":")[2])) as proxy:
        yield proxy


def through(proxy: SlowProxy) -> str:
    return f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true"


def test_fault_01_killed_before_the_claim(room: FaultRoom, mongodb_path: SlowProxy) -> None:
    """The worker has the task and its claim does not get through; the other one sends once."""
    [account] = room.accounts(1)
    notification_id = room.send(account)
    victim = room.worker(MONGODB_URI=through(mongodb_path))
    mongodb_path.hold()
    room.start_worker(notification_id)
    room.wait_until(lambda: room.probe.was_taken_by(victim.pid, f"push-notification/{notification_id}"))
    victim.kill()
    assert room.row(notification_id)["status"] == "pending"
    room.worker()

    row = room.wait_for_status(notification_id, "sent")

    assert (row["fence"], row["lost_claims"], len(room.audit())) == (1, 0, 1)
    room.assert_invariant()


def test_fault_02_killed_after_the_claim_before_the_send(room: FaultRoom) -> None:
    """The worker has claimed and waits for its access token; the lease runs out, the row is sent once."""
    [account] = room.accounts(1)
    notification_id = room.send(account)
    # A token that is over at once, so that the send needs another one.
    room.simulator.set_oauth(expires_in_seconds=1)
    victim = room.worker()
    room.simulator.set_oauth(delay_ms=TOKEN_DELAY_MS)
    room.start_worker(notification_id)
    room.wait_for_status(notification_id, "processing")
    victim.kill()
    room.simulator.set_oauth()
    assert room.audit() == []
    room.worker()

    row = room.wait_for_status(notification_id, "sent")

    assert (row["fence"], row["lost_claims"], len(room.audit())) == (2, 1, 1)
    room.assert_invariant()


@pytest.mark.parametrize(
    ("policy", "status", "accepted"),
    [(OutcomePolicy.AT_LEAST_ONCE, "sent", 2), (OutcomePolicy.AT_MOST_ONCE, "failed", 1)],
)
def test_fault_03_killed_after_the_answer_before_the_write(
    room: FaultRoom, mongodb_path: SlowProxy, policy: OutcomePolicy, status: str, accepted: int
) -> None:
    """The provider said yes and MongoDB never heard of it: unknown, then what the row's policy says."""
    [account] = room.accounts(1)
    notification_id = room.send(account, policy=policy)
    victim = room.worker(MONGODB_URI=through(mongodb_path))
    room.simulator.add_rule(delay_ms=SEND_DELAY_MS, times=1)
    answered = room.simulator.stats()["answers"].get("OK", 0)
    room.start_worker(notification_id)
    room.wait_for_audit(1)
    mongodb_path.hold()
    room.wait_until(lambda: room.simulator.stats()["answers"].get("OK", 0) > answered)
    victim.kill()
    assert room.row(notification_id)["status"] == "processing"
    room.worker()

    row = room.wait_for_status(notification_id, status)

    assert (row["lost_claims"], len(room.audit())) == (1, accepted)
    assert unknown_sends([row]) >= 1
    room.assert_invariant()


def test_fault_04_killed_after_the_write_before_the_task_completes(
    room: FaultRoom, temporal_path: SlowProxy
) -> None:
    """MongoDB has the outcome and Temporal was never told: the repeated task finds nothing to send."""
    [account] = room.accounts(1)
    notification_id = room.send(account)
    victim = room.worker(TEMPORAL_ADDRESS=f"127.0.0.1:{temporal_path.port}")
    room.simulator.add_rule(delay_ms=SEND_DELAY_MS, times=1)
    room.start_worker(notification_id)
    room.wait_for_status(notification_id, "processing")
    temporal_path.hold()
    room.wait_for_status(notification_id, "sent")
    victim.kill()
    heir = room.worker()
    workflow_id = f"push-notification/{notification_id}"
    room.wait_until(lambda: room.probe.was_taken_by(heir.pid, workflow_id))
    room.wait_until(lambda: room.probe.is_completed(workflow_id))

    row = room.row(notification_id)
    assert (row["fence"], row["lost_claims"], len(room.audit())) == (1, 0, 1)
    room.assert_invariant()

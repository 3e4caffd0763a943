"""Faults 24, 28 and 29: answers that are lost, connections that close, and answers that never end."""

from __future__ import annotations

import pytest

from bootstrap import Role
from modules.notification.types import OutcomePolicy
from tests.support.fault_room import FaultRoom
from tests.support.invariant import accepted_by_target, unknown_sends

ACCOUNTS = 60
DEVICES = 5
SENDS = ACCOUNTS * DEVICES
GOAWAY_EVERY = 7
LANE_REQUESTS = 20


@pytest.mark.parametrize("effect", ["lost_response", "lost_connection"])
@pytest.mark.parametrize(
    ("policy", "status", "accepted"),
    [(OutcomePolicy.AT_LEAST_ONCE, "sent", 2), (OutcomePolicy.AT_MOST_ONCE, "failed", 1)],
)
def test_fault_24_answer_lost_after_acceptance(
    room: FaultRoom, effect: str, policy: OutcomePolicy, status: str, accepted: int
) -> None:
    """Recorded as unknown; repeated under the same collapse id, or never, as the row's policy says."""
    room.become(Role.WORKER)
    [account] = room.accounts(1)
    room.simulator.add_rule(effect=effect, times=1)
    notification_id = room.send(account, policy=policy)

    room.finish()

    row = room.row(notification_id)
    assert (row["status"], unknown_sends([row])) == (status, 1)
    assert any("unknown" in event["detail"] for event in row["events"])
    assert [entry["android_tag"] for entry in room.audit()] == [notification_id] * accepted
    room.assert_invariant()


@pytest.mark.parametrize("fault", ["goaway", "goaway_unprocessed", "reset"])
def test_fault_28_connection_closed_in_the_middle(room: FaultRoom, fault: str) -> None:
    """Only what the server had not read is sent again: every device accepts each row once."""
    room.become(Role.WORKER)
    accounts = [f"account-{number}" for number in range(ACCOUNTS)]
    for account in accounts:
        for _ in range(DEVICES):
            room.register(account)
    before = room.simulator.stats()
    if fault == "goaway":
        room.simulator.goaway_every(GOAWAY_EVERY)
    else:
        room.simulator.add_rule(effect=fault, times=SENDS // GOAWAY_EVERY)
    room.send_many(accounts)

    room.finish()

    after = room.simulator.stats()
    seen = after["goaways"] - before["goaways"]
    seen += after["effects"].get(fault, 0) - before["effects"].get(fault, 0)
    assert seen >= SENDS // GOAWAY_EVERY - 1
    audit = room.audit()
    assert (len(audit), set(accepted_by_target(audit).values())) == (SENDS, {1})
    assert {row["status"] for row in room.rows()} == {"sent"}
    assert [row["events"] for row in room.rows() if unknown_sends([row])] == []
    room.assert_invariant()


@pytest.mark.parametrize(
    "room",
    [{"FCM_REQUEST_TIMEOUT_SECONDS": 5, "FCM_MAX_CONCURRENT_REQUESTS": LANE_REQUESTS}],
    indirect=True,
)
@pytest.mark.parametrize("effect", ["drip", "hang"])
def test_fault_29_answers_that_never_end(room: FaultRoom, effect: str) -> None:
    """They end at their deadline; an immediate send overtakes them although they hold every slot."""
    room.become(Role.WORKER)
    slow = room.send_many(room.accounts(1) * (LANE_REQUESTS + 5))
    room.register("in-a-hurry")
    rule = room.simulator.add_rule(effect=effect)
    room.scan()
    room.wait_for_audit(LANE_REQUESTS)
    room.simulator.remove_rule(rule)

    urgent = room.send("in-a-hurry", immediate=True)

    rows = {str(row["_id"]): row for row in room.rows()}
    assert rows[urgent]["status"] == "sent"
    assert {rows[each]["status"] for each in slow} == {"processing"}

    room.finish()

    assert {row["status"] for row in room.rows()} == {"sent"}
    assert unknown_sends(room.rows()) == LANE_REQUESTS
    room.assert_invariant()

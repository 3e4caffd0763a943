"""Outcomes that MongoDB refuses for good: one row is concerned, and that row ends."""

from __future__ import annotations

import pytest

from modules.notification.internals.store.rows.row_schema import validator
from modules.notification.types import OutcomePolicy, Status
from tests.support.push_service import PushService

REFUSED = "This title's outcome is refused"


def refuse(service: PushService, *, status: str | None = None) -> None:
    """Have MongoDB refuse every outcome of rows with this title: those with devices, or of this status."""
    part = {"status": status} if status else {"devices.0": {"$exists": True}}
    rule = {"$nor": [{"title": REFUSED, **part}]}
    service.rows.database.command("collMod", "push_notifications", validator={"$and": [validator(), rule]})


@pytest.mark.parametrize("instruction", ["", "INVALID_ARGUMENT"])
def test_one_refused_row_costs_that_row_alone(service: PushService, instruction: str) -> None:
    service.register(instruction)
    good, other = service.send(), service.send()
    bad = service.send(title=REFUSED)
    refuse(service)
    reports = service.deliver(good, bad, other)
    wanted = Status.FAILED if instruction else Status.SENT
    assert [report.status for report in reports] == [wanted] * 3
    row = service.stored(bad)
    assert (row["error_type"], row["lost_claims"], row["devices"]) == ("outcome_refused", 1, [])
    assert "121" in row["error_message"]
    assert "claim" not in row
    sent = len(service.accepted())
    service.deliver(good, bad, other)
    assert len(service.accepted()) == sent, "nothing is sent again"


@pytest.mark.parametrize("policy", list(OutcomePolicy))
def test_a_row_that_cannot_even_be_ended_does_not_loop(service: PushService, policy: OutcomePolicy) -> None:
    service.register()
    bad = service.send(title=REFUSED, outcome_policy=policy)
    refuse(service, status="sent")
    for _ in range(8):
        service.deliver(bad)
        if service.stored(bad)["status"] == "processing":
            service.lose_claim(bad)
    row = service.stored(bad)
    at_most_once = policy is OutcomePolicy.AT_MOST_ONCE
    assert row["status"] == "failed"
    assert len(service.accepted()) == (1 if at_most_once else 5)
    if not at_most_once:
        assert (row["error_type"], row["lost_claims"]) == ("CLAIM_LOST", 5)
        assert "5 times" in row["error_message"]


def test_a_claim_that_is_lost_again_and_again_ends_its_row(service: PushService) -> None:
    service.register()
    notification_id = service.send()
    row_id = service.stored(notification_id)["_id"]
    past = {"claim": {"id": "c", "owner": "o", "dispatched": [], "recovered": False}}
    claim = {**past["claim"], "claimed_at": service.stored(notification_id)["created_at"]}
    service.rows.update_one(
        {"_id": row_id},
        {
            "$set": {
                "status": "processing",
                "last_transition": {"source": "pending", "target": "processing"},
                "lost_claims": 4,
                "claim": {**claim, "lease_expires_at": claim["claimed_at"]},
            }
        },
    )
    (report,) = service.deliver(notification_id)
    assert (report.status, report.note) == (Status.FAILED, "CLAIM_LOST")
    assert service.accepted() == []
    assert service.stored(notification_id)["lost_claims"] == 5

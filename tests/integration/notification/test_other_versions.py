"""Delivery beside other releases, and of what was lost before: it holds nobody up and fails nothing."""

from __future__ import annotations

import pytest

from modules.notification.types import Status
from modules.preference.preference_service import PreferenceService
from tests.support.push_service import PushService


def test_one_unreadable_row_is_let_go_and_stops_no_other(service: PushService) -> None:
    service.register()
    good, bad = service.send(), service.send(title="Another content")
    bad_row = service.stored(bad)["_id"]
    service.rows.update_one({"_id": bad_row}, {"$set": {"options.android": {"nobody": "knows it"}}})
    good_report, bad_report = service.deliver(good, bad)
    assert good_report.status is Status.SENT
    assert (bad_report.status, bad_report.note) == (Status.PENDING, "let_go")
    row = service.stored(bad)
    assert (row["status"], row["lost_claims"], row["devices"]) == ("pending", 0, [])
    assert "claim" not in row


def test_what_another_version_says_of_one_account_holds_up_no_other(service: PushService) -> None:
    """Preferences with a field this version does not know may forbid what it would send."""
    accounts = [f"account-{number}" for number in range(7)]
    for account_id in accounts:
        service.register(account_id=account_id)
        PreferenceService.set_preference(account_id=account_id, category="news", allowed=True)
    database = service.rows.database
    database.command("collMod", "preferences", validator={})
    database["preferences"].update_one({"_id": accounts[3]}, {"$set": {"quiet_hours": "22-6"}})
    database.command("collMod", "devices", validator={})
    database["devices"].update_one({"account_id": accounts[5]}, {"$set": {"platform": "watch"}})
    ids = [service.send(account_id=account_id) for account_id in accounts]
    reports = service.deliver(*ids)
    kept = {accounts[3], accounts[5]}
    assert [report.status for report in reports] == [
        Status.PENDING if account_id in kept else Status.SENT for account_id in accounts
    ]
    for notification_id in (ids[3], ids[5]):
        row = service.stored(notification_id)
        assert (row["lost_claims"], row["retry_count"], row["devices"]) == (0, 0, [])
        assert "cannot read" in row["events"][-1]["detail"]
    assert len(service.accepted()) == 5


def test_a_device_with_a_field_of_a_newer_version_is_told_all_the_same(service: PushService) -> None:
    device = service.register()
    database = service.rows.database
    database.command("collMod", "devices", validator={})
    database["devices"].update_many({}, {"$set": {"battery": 0.5}})
    (report,) = service.deliver(service.send())
    assert report.status is Status.SENT
    assert service.devices()[device.id].address == device.address


def test_a_row_of_another_version_is_reported_as_waiting(service: PushService) -> None:
    service.register()
    notification_id = service.send()
    row_id = service.stored(notification_id)["_id"]
    service.rows.update_one({"_id": row_id}, {"$set": {"added_later": 1}})
    (report,) = service.deliver(notification_id)
    assert (report.status, report.note) == (Status.PENDING, "let_go")
    assert report.retry_in_seconds == pytest.approx(30, abs=5)
    assert service.accepted() == []


def test_rows_whose_claims_were_lost_before_are_sent_beside_fresh_ones(service: PushService) -> None:
    service.register()
    ids = [service.send() for _ in range(25)]
    for notification_id, times in zip(ids, [1] * 10 + [2, 3], strict=False):
        service.rows.database["push_notifications"].update_one(
            {"_id": service.stored(notification_id)["_id"]},
            [
                {
                    "$set": {
                        "status": "processing",
                        "last_transition": {"source": "pending", "target": "processing"},
                        "lost_claims": times,
                        "claim": {
                            "id": "lost",
                            "owner": "lost",
                            "claimed_at": "$created_at",
                            "lease_expires_at": "$created_at",
                            "recovered": False,
                            "dispatched": [],
                        },
                    }
                }
            ],
        )
    reports = service.deliver(*ids)
    assert {report.status for report in reports} == {Status.SENT}
    assert len(service.accepted()) == 25

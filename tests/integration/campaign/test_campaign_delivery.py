"""A slice of a campaign on real MongoDB and the simulator: written once, sent once, counted as it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from local_stack.local_stack_service import LocalStack
from modules.application.errors import NotFoundError
from modules.campaign.campaign_service import CampaignService
from modules.campaign.run_types import SliceParams, SliceReport
from modules.campaign.types import AccountList, Topic
from modules.notification.internals.store.rows.bulk_rows import bulk_row_id
from modules.notification.notification_service import NotificationService
from modules.notification.types import Status
from modules.preference.preference_service import PreferenceService
from tests.support.campaigns import CampaignRoom, campaign_room

# The default of retention.finished_days.
RETENTION_DAYS = 90
PAST = datetime.now(UTC) - timedelta(minutes=5)


@pytest.fixture
def room(stack: LocalStack, database_name: str) -> Iterator[CampaignRoom]:
    with campaign_room(stack, database_name) as opened:
        yield opened


def names(count: int) -> list[str]:
    return [f"account-{number:05}" for number in range(count)]


def deliver(
    room: CampaignRoom,
    campaign_id: str,
    start: int = 0,
    end: int = 1_000,
    *,
    page: int = 0,
    rate: float | None = None,
    stopped: asyncio.Event | None = None,
) -> SliceReport:
    params = SliceParams(campaign_id=campaign_id, page=page, start=start, end=end, rate_per_second=rate)
    work = CampaignService.deliver_slice_async(params=params, stopped=stopped or asyncio.Event())
    return room.push.loop_thread.run(work)


def row_of(room: CampaignRoom, campaign_id: str, account_id: str) -> dict[str, Any]:
    row = room.rows.find_one({"_id": bulk_row_id(ObjectId(campaign_id), account_id)})
    assert row is not None
    return dict(row)


def moved(source: str, target: str) -> dict[str, Any]:
    return {"status": target, "last_transition": {"source": source, "target": target}}


def test_a_slice_has_a_row_and_a_message_for_each_account(room: CampaignRoom) -> None:
    accounts = names(300)
    room.register_many(accounts)
    campaign_id = room.send(AccountList(account_ids=accounts))
    report = deliver(room, campaign_id, 0, 300)
    assert (report.done, report.counts, report.retry_in_seconds) == (300, {"sent": 300}, None)
    assert (report.attempts, report.errors, sum(report.latencies)) == (300, 0, 300)
    assert len(room.push.accepted()) == room.rows.count_documents({"status": "sent"}) == 300
    assert room.read(campaign_id).counts == {"sent": 300}


def test_a_repeated_slice_sends_nothing_twice_and_reports_the_same(room: CampaignRoom) -> None:
    accounts = names(20)
    room.register_many(accounts)
    campaign_id = room.send(AccountList(account_ids=accounts))
    first, second = deliver(room, campaign_id, 0, 20), deliver(room, campaign_id, 0, 20)
    assert first.counts == second.counts == {"sent": 20}
    assert (second.done, second.attempts, len(room.push.accepted())) == (20, 0, 20)


def test_a_page_that_nobody_counted_yet_can_have_rows_of_a_worker_that_was_lost(room: CampaignRoom) -> None:
    room.register_many(["written", "held", "new"])
    campaign_id = room.send(AccountList(account_ids=["written", "held", "new"]))
    room.write_row(campaign_id, "written")
    write_lost(room, campaign_id, "held", lease_expires_at=datetime.now(UTC) + timedelta(hours=1))
    report = deliver(room, campaign_id, 0, 3)
    assert report.counts == {"sent": 2, "processing": 1}
    assert len(room.push.accepted()) == 2


def test_a_row_of_a_campaign_reads_like_any_other(room: CampaignRoom) -> None:
    room.register_many(["a"])
    campaign_id = room.send(AccountList(account_ids=["a"]), title="For all", data={"k": "v"})
    deliver(room, campaign_id, 0, 1)
    row = row_of(room, campaign_id, "a")
    assert "title" not in row
    read = NotificationService.get_push_notification(notification_id=str(row["_id"]))
    assert (read.title, read.status, len(read.devices)) == ("For all", Status.SENT, 1)
    [listed] = NotificationService.list_push_notifications(account_id="a")
    assert listed.id == read.id
    [entry] = room.push.accepted()
    assert entry["title"] == "For all"
    assert read.id in str(entry)


def test_accounts_that_cannot_or_must_not_be_told_are_counted_as_such(room: CampaignRoom) -> None:
    room.register_many(["told", "silent"])
    PreferenceService.set_preference(account_id="silent", category=None, allowed=False)
    campaign_id = room.send(AccountList(account_ids=["told", "silent", "nowhere"]))
    report = deliver(room, campaign_id, 0, 3)
    assert report.counts == {"sent": 1, "failed:preference_opted_out": 1, "failed:no_active_devices": 1}
    assert len(room.push.accepted()) == 1


def test_an_account_named_twice_is_told_once(room: CampaignRoom) -> None:
    accounts = ["twice", *names(999), "twice"]
    room.register_many(["twice"])
    campaign_id = room.send(AccountList(account_ids=accounts))
    first, second = deliver(room, campaign_id, 0, 1), deliver(room, campaign_id, 0, 1, page=1)
    assert (first.counts, second.counts) == ({"sent": 1}, {"duplicate": 1})
    assert len(room.push.accepted()) == 1


def test_names_beyond_an_accounts_first_count_once_its_row_exists(room: CampaignRoom) -> None:
    room.register_many(["a", "b"])
    campaign_id = room.send(AccountList(account_ids=["a", "b", "a", "b", "a"]))
    assert deliver(room, campaign_id, 0, 1).counts == {"sent": 1, "duplicate": 2}
    assert deliver(room, campaign_id, 0, 5).counts == {"sent": 2, "duplicate": 3}


def test_a_page_is_tried_again_when_its_first_row_is_due(room: CampaignRoom) -> None:
    first, second, held, over = accounts = names(4)
    campaign_id = room.send(AccountList(account_ids=accounts))
    soon, later = (datetime.now(UTC) + timedelta(seconds=seconds) for seconds in (40, 400))
    for account_id, due_at in ((first, later), (second, soon)):
        room.write_row(campaign_id, account_id, next_retry_at=due_at, retry_count=1)
    lease = {"id": "c", "owner": "o", "claimed_at": soon, "lease_expires_at": later, "recovered": False}
    room.write_row(campaign_id, held, **moved("pending", "processing"), claim=lease)
    ending = {**moved("processing", "failed"), "finished_at": soon, "error_type": "no_active_devices"}
    room.write_row(campaign_id, over, **ending)
    stopped = asyncio.Event()
    stopped.set()
    report = deliver(room, campaign_id, stopped=stopped)
    assert report.counts == {"pending": 2, "processing": 1, "failed:no_active_devices": 1}
    assert report.retry_in_seconds is not None
    assert 20 < report.retry_in_seconds <= 40


def test_a_stopped_slice_says_how_far_it_got(room: CampaignRoom) -> None:
    accounts = names(20)
    room.register_many(accounts)
    campaign_id = room.send(AccountList(account_ids=accounts))
    stopped = asyncio.Event()
    stopped.set()
    report = deliver(room, campaign_id, 0, 20, stopped=stopped)
    assert (report.done, report.counts, room.push.accepted()) == (0, {}, [])


def test_a_rate_spaces_what_is_sent(room: CampaignRoom) -> None:
    accounts = names(30)
    room.register_many(accounts)
    campaign_id = room.send(AccountList(account_ids=accounts))
    started = time.monotonic()
    report = deliver(room, campaign_id, 0, 30, rate=20.0)
    assert report.counts == {"sent": 30}
    # The first second's worth goes out at once, the rest when its turn has come.
    assert time.monotonic() - started >= 1.0


def test_rows_to_be_tried_again_say_when_and_are_sent_on_the_next_visit(room: CampaignRoom) -> None:
    room.register_many(["a"])
    room.push.register("503*1", account_id="b")
    campaign_id = room.send(AccountList(account_ids=["a", "b"]))
    first = deliver(room, campaign_id, 0, 2)
    assert first.counts == {"sent": 1, "pending": 1}
    assert first.retry_in_seconds is not None
    row = row_of(room, campaign_id, "b")
    assert "due_at" not in row
    room.rows.update_one({"_id": row["_id"]}, {"$set": {"next_retry_at": PAST, "devices.0.not_before": PAST}})
    second = deliver(room, campaign_id, 0, 2)
    assert (second.counts, second.retry_in_seconds, second.attempts) == ({"sent": 2}, None, 1)


def test_the_scan_never_finds_a_campaigns_row(room: CampaignRoom) -> None:
    room.push.register("503", account_id="a")
    campaign_id = room.send(AccountList(account_ids=["a"]))
    deliver(room, campaign_id, 0, 1)
    row = row_of(room, campaign_id, "a")
    assert row["status"] == "pending"
    due = room.push.loop_thread.run(
        NotificationService.due_page_async(until=datetime.now(UTC) + timedelta(days=30), limit=10)
    )
    assert due.rows == ()


def test_a_topic_is_one_request(room: CampaignRoom) -> None:
    campaign_id = room.send(Topic(name=f"{room.push.mark}-news"))
    report = deliver(room, campaign_id, 0, 1)
    assert (report.counts, report.attempts) == ({"sent": 1}, 1)
    [entry] = room.push.accepted()
    assert (entry["target_kind"], entry["target"]) == ("topic", f"{room.push.mark}-news")


def write_lost(
    room: CampaignRoom, campaign_id: str, account_id: str, *, lease_expires_at: datetime = PAST
) -> None:
    """A row whose worker was lost while it was sending."""
    claim = {
        "id": "c",
        "owner": "gone",
        "claimed_at": PAST,
        "lease_expires_at": lease_expires_at,
        "recovered": False,
        "dispatched": [],
    }
    transition = {"source": "pending", "target": "processing"}
    room.write_row(
        campaign_id, account_id, status="processing", last_transition=transition, claim=claim, fence=1
    )


def test_what_a_lost_worker_held_ends_as_unknown_when_the_campaign_is_cancelled(room: CampaignRoom) -> None:
    campaign_id = room.send(AccountList(account_ids=["a", "b"]))
    write_lost(room, campaign_id, "a")
    assert room.cancel_rest(campaign_id) == {"failed:CLAIM_LOST": 1, "cancelled": 1}
    row = row_of(room, campaign_id, "a")
    assert (row["status"], row["lost_claims"], "claim" in row) == ("failed", 1, False)


def test_rows_of_a_page_that_was_lost_end_when_the_campaign_is_cancelled(room: CampaignRoom) -> None:
    campaign_id = room.send(AccountList(account_ids=["a", "b"]))
    write_lost(room, campaign_id, "a")
    room.write_row(campaign_id, "b")
    room.pages.delete_many({})
    assert room.cancel_rest(campaign_id) == {}
    lost, pending = (row_of(room, campaign_id, account_id) for account_id in ("a", "b"))
    assert (lost["status"], lost["error_type"]) == ("failed", "CLAIM_LOST")
    assert (pending["status"], pending["active"]) == ("pending", False)


def test_a_campaign_or_page_that_does_not_exist_is_said(room: CampaignRoom) -> None:
    campaign_id = room.send(AccountList(account_ids=["a"]))
    for unknown, page in ((str(ObjectId()), 0), ("no id", 0), (campaign_id, 7)):
        with pytest.raises(NotFoundError):
            deliver(room, unknown, 0, 1, page=page)


def test_what_was_cancelled_while_a_slice_waited_for_the_provider_is_not_sent(room: CampaignRoom) -> None:
    accounts = names(20)
    room.register_many(accounts)
    campaign_id = room.send(AccountList(account_ids=accounts))
    change = {"state": "cancelled", "finished_at": datetime.now(UTC)}
    room.runs.on_open = lambda: room.campaigns.update_one({}, {"$set": change})
    report = deliver(room, campaign_id, 0, 20)
    assert (report.done, room.push.accepted(), room.rows.count_documents({})) == (0, [], 0)


def test_a_slice_that_wakes_after_the_end_changes_no_count(room: CampaignRoom) -> None:
    campaign_id = room.send(AccountList(account_ids=names(3)))
    room.record(campaign_id, "paused")
    assert room.cancel_rest(campaign_id) == {"cancelled": 3}
    deliver(room, campaign_id, 0, 3)
    assert room.counts(campaign_id) == {"cancelled": 3}


def test_who_may_have_been_told_before_retention_took_the_row_is_not_told_again(room: CampaignRoom) -> None:
    accounts = names(3)
    room.register_many(accounts)
    campaign_id = room.send(AccountList(account_ids=accounts))
    room.write_row(campaign_id, accounts[0])
    kept_for = timedelta(days=RETENTION_DAYS)
    room.campaigns.update_one({}, {"$set": {"created_at": datetime.now(UTC) - kept_for}})
    report = deliver(room, campaign_id, 0, 3)
    assert (report.done, report.counts) == (3, {"sent": 1})
    assert len(room.push.accepted()) == 1

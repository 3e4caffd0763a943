"""A person is forgotten while they are being told: nothing goes out afterwards, nothing comes back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from modules.campaign.types import AccountList
from modules.notification.types import DeliveryReport
from tests.integration.erasure.conftest import PERSON, Open, Service
from tests.support.servers import eventually

# A lease is how long a delivery is waited for.
SHORT = {"DELIVERY_LEASE_SECONDS": "1"}
HELD = "ok+delay=4000"


@pytest.fixture
def impatient(opened: Open) -> Iterator[Service]:
    with opened(**SHORT) as running:
        yield running


def begin(service: Service, *notification_ids: str) -> Future[list[DeliveryReport]]:
    """Deliver in a thread; returns when the provider has taken a message for each row, and not answered."""
    push = service.room.push
    before = len(push.accepted())
    outcome: Future[list[DeliveryReport]] = Future()

    def deliver() -> None:
        try:
            outcome.set_result(service.room.push.deliver(*notification_ids))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=deliver, daemon=True).start()
    eventually(lambda: len(push.accepted()) == before + len(notification_ids))
    return outcome


def content_of(row: dict[str, Any]) -> list[object]:
    names = ("title", "body", "data", "device_tokens_used", "invalid_tokens", "provider_message_ids")
    return [row[name] for name in names]


EMPTY: list[object] = ["erased", "erased", {}, [], [], []]


def test_a_delivery_held_between_send_and_write_brings_nothing_back(impatient: Service) -> None:
    device = impatient.room.push.register(HELD, PERSON)
    notification_id = impatient.room.push.send(account_id=PERSON, title="A secret")
    delivery = begin(impatient, notification_id)
    report = impatient.forget()
    assert (report.interrupted, report.erased["push_notifications"], delivery.done()) == (1, 1, False)
    [told] = delivery.result(timeout=30)
    row = impatient.room.push.stored(notification_id)
    assert (row["status"], row["error_type"], told.note) == ("failed", "account_erased", "account_erased")
    assert content_of(row) == EMPTY
    left = impatient.everything()
    assert "A secret" not in left
    assert device.address not in left
    assert device.id not in left


def test_a_delivery_that_ends_in_time_writes_its_outcome_first(service: Service) -> None:
    service.room.push.register("ok+delay=700", PERSON)
    notification_id = service.room.push.send(account_id=PERSON)
    delivery = begin(service, notification_id)
    report = service.forget()
    assert (report.interrupted, report.erased["push_notifications"]) == (0, 1)
    assert delivery.result(timeout=30)[0].accepted == 1
    row = service.room.push.stored(notification_id)
    assert row["status"] == "sent"
    assert content_of(row) == EMPTY


def test_a_row_whose_worker_is_gone_ends_too(impatient: Service) -> None:
    push = impatient.room.push
    push.register(HELD, PERSON)
    notification_id = push.send(account_id=PERSON)
    delivery = begin(impatient, notification_id)
    delivery.result(timeout=30)
    # As if it had been lost in the middle.
    impatient.room.rows.update_one(
        {"_id": push.stored(notification_id)["_id"]},
        [
            {
                "$set": {
                    "status": "processing",
                    "last_transition": {"source": "pending", "target": "processing"},
                    "due_at": "$$NOW",
                    "claim": {
                        "id": "lost",
                        "owner": "nobody",
                        "claimed_at": "$$NOW",
                        "lease_expires_at": "$$NOW",
                        "recovered": False,
                        "dispatched": [],
                    },
                }
            },
            {"$unset": "finished_at"},
        ],
    )
    assert impatient.forget().interrupted == 1
    row = push.stored(notification_id)
    assert (row["status"], content_of(row)) == ("sent", EMPTY)


@pytest.mark.parametrize("lease_seconds", ["30", "1"])
def test_nothing_goes_out_after_a_person_was_forgotten(opened: Open, lease_seconds: str) -> None:
    with opened(DELIVERY_LEASE_SECONDS=lease_seconds) as service:
        push = service.room.push
        for _ in range(40):
            push.register("ok+delay=200", PERSON)
        rows = [push.send(account_id=PERSON) for _ in range(40)]
        with ThreadPoolExecutor(4) as pool:
            deliveries = [pool.submit(push.deliver, *rows[start : start + 10]) for start in range(0, 40, 10)]
            eventually(lambda: len(push.accepted()) > 10)
            report = service.forget()
            told = len(push.accepted())
            for delivery in deliveries:
                delivery.result(timeout=60)
            push.deliver(*rows)
        assert len(push.accepted()) == told
        assert report.erased["push_notifications"] == 40
        assert all(content_of(row) == EMPTY for row in service.rows())


def test_a_campaign_beside_it_loses_nobody_else(service: Service) -> None:
    room = service.room
    accounts = [f"account-{number}" for number in range(600)]
    accounts[300] = PERSON
    room.register_many(accounts)
    campaign_id = room.send(AccountList(account_ids=accounts))
    with ThreadPoolExecutor(1) as pool:
        slice_ = pool.submit(room.deliver, campaign_id, 0, 600)
        eventually(lambda: len(room.push.accepted()) > 20)
        service.forget()
        told = [entry["target"] for entry in room.push.accepted()]
        report = slice_.result(timeout=60)
    assert sum(report.counts.values()) == 600
    counts = {word.partition(":")[0]: count for word, count in report.counts.items()}
    # Told before they were forgotten, or not any more.
    assert counts["sent"] in (599, 600)
    after = [entry["target"] for entry in room.push.accepted()]
    assert len(after) == len(set(after)) == counts["sent"]
    assert [target for target in after if target.endswith(PERSON)] == [
        target for target in told if target.endswith(PERSON)
    ]

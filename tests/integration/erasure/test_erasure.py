"""A person is forgotten: nothing of theirs is left, what stays says so, and nobody else is touched."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import datetime, timedelta

import pytest

from modules.account.account_service import AccountService
from modules.account.errors import AccountNotFoundError
from modules.application.errors import InvalidInputError
from modules.authentication.authentication_service import AuthenticationService
from modules.authentication.errors import OneTimePasswordNotFoundError
from modules.campaign.types import AccountList
from modules.device_token.device_token_service import DeviceTokenService
from modules.erasure.erasure_service import ErasureService
from modules.erasure.types import ErasureReport
from modules.notification.notification_service import NotificationService
from modules.notification.types import AndroidOptions, Status
from modules.preference.preference_service import PreferenceService
from tests.integration.erasure.conftest import PERSON, Service

SECRETS = [
    "a-title-of-theirs",
    "a-body-of-theirs",
    "a-value-of-theirs",
    "example.org/picture-of-theirs",
    "/orders/of-theirs",
    "key-of-theirs",
    "correlation-of-theirs",
    "sound-of-theirs",
    "category-of-theirs",
]
NOBODY = {"devices": 0, "push_notifications": 0, "one_time_passwords": 0, "preferences": 0, "accounts": 0}


def tell(service: Service, account_id: str = PERSON, mark: str = "of-theirs") -> str:
    """Accept a push with all that one can have."""
    return service.room.push.send(
        account_id=account_id,
        title=f"a-title-{mark}",
        body=f"a-body-{mark}",
        data={"k": f"a-value-{mark}"},
        image_url=f"https://example.org/picture-{mark}",
        click_action=f"/orders/{mark}",
        category=f"category-{mark}",
        android=AndroidOptions(sound=f"sound-{mark}"),
        idempotency_key=f"key-{mark}",
        correlation_id=f"correlation-{mark}",
    )


def test_everything_of_a_person_goes_and_the_report_counts_it(service: Service) -> None:
    push = service.room.push
    devices = [push.register(each, PERSON) for each in ("", "UNREGISTERED", "UNAVAILABLE*1")]
    sent = tell(service)
    push.deliver(sent)
    push.make_due(sent)
    push.deliver(sent)
    message_ids = push.stored(sent)["provider_message_ids"]
    assert len(message_ids) == 2
    pending = push.send(account_id=PERSON, title="a-title-of-theirs")
    AccountService.upsert_account(account_id=PERSON, locale="de")
    PreferenceService.set_preference(account_id=PERSON, category="marketing", allowed=True)
    ticket = AuthenticationService.send_one_time_password(account_id=PERSON)
    code = push.stored(ticket.notification_id)["data"]["code"]

    report = service.forget()

    assert report == ErasureReport(
        account_id=PERSON,
        erased={
            "devices": 3,
            "push_notifications": 3,
            "one_time_passwords": 1,
            "preferences": 1,
            "accounts": 1,
        },
        withdrawn=1,
        interrupted=0,
    )
    left = service.everything()
    gone = [*SECRETS, *message_ids, *(each.address for each in devices), *(each.id for each in devices)]
    assert [each for each in gone if each in left] == []
    assert f'"code": "{code}"' not in left
    rows = {str(row["_id"]): row for row in service.rows()}
    assert set(rows) == {sent, pending, ticket.notification_id}
    assert (rows[sent]["status"], rows[pending]["status"], rows[pending]["active"]) == (
        "sent",
        "pending",
        False,
    )
    assert [each["outcome"] for each in rows[sent]["devices"]] == ["accepted", "target_dead", "accepted"]
    assert len(rows[sent]["events"]) > 3
    with pytest.raises(AccountNotFoundError):
        AccountService.get_account(account_id=PERSON)
    assert PreferenceService.get_preferences(account_id=PERSON).updated_at is None
    with pytest.raises(OneTimePasswordNotFoundError):
        AuthenticationService.verify_one_time_password(account_id=PERSON, ticket_id=ticket.id, code=code)


def test_what_is_left_can_be_read(service: Service) -> None:
    service.room.push.register(account_id=PERSON)
    sent, pending = tell(service), service.room.push.send(account_id=PERSON)
    service.room.push.deliver(sent)
    service.forget()
    read = NotificationService.get_push_notification(notification_id=sent)
    assert (read.status, read.title, read.idempotency_key) == (Status.SENT, "erased", None)
    assert [device.device_id for device in read.devices] == ["erased"]
    listed = NotificationService.list_push_notifications(account_id=PERSON)
    assert [each.id for each in listed] == [pending, sent]
    assert {entry.detail for entry in read.timeline} == {""}
    [report] = service.room.push.deliver(pending)
    assert (report.note, service.room.push.accepted()[1:]) == ("cancelled", [])


def test_nobody_else_is_touched(service: Service) -> None:
    push = service.room.push
    for account_id in (PERSON, "somebody"):
        push.register(account_id=account_id)
        push.deliver(tell(service, account_id))
    PreferenceService.set_preference(account_id="somebody", category="marketing", allowed=False)
    AccountService.upsert_account(account_id="somebody", locale="fr")
    before = service.rows("somebody")
    service.forget()
    assert service.rows("somebody") == before
    assert len(DeviceTokenService.active_devices(account_id="somebody")) == 1
    assert AccountService.get_account(account_id="somebody").locale == "fr"
    assert PreferenceService.get_preferences(account_id="somebody").categories == {"marketing": False}


def test_forgetting_can_be_repeated_and_takes_what_came_since(service: Service) -> None:
    service.room.push.register(account_id=PERSON)
    service.room.push.deliver(tell(service))
    service.forget()
    again = service.forget()
    assert (again.erased, again.withdrawn, again.interrupted) == (NOBODY, 0, 0)
    assert service.forget("nobody-at-all").erased == NOBODY
    tell(service)
    last = service.forget()
    assert (last.erased, last.withdrawn) == ({**NOBODY, "push_notifications": 1}, 1)
    assert [each for each in SECRETS if each in service.everything()] == []


def test_a_key_can_be_used_again_by_who_comes_back(service: Service) -> None:
    service.room.push.register(account_id=PERSON)
    first = tell(service)
    service.forget()
    second = tell(service)
    assert first != second


def test_rows_of_a_receipt_that_comes_late_stay_empty(service: Service) -> None:
    service.room.push.register(account_id=PERSON)
    sent = tell(service)
    service.room.push.deliver(sent)
    service.forget()
    assert NotificationService.record_delivered(notification_id=sent)
    assert service.room.push.stored(sent)["status"] == "delivered"
    assert [each for each in SECRETS if each in service.everything()] == []


def test_a_campaign_under_way_does_not_begin_with_them_again(service: Service) -> None:
    room = service.room
    accounts = ["account-0", PERSON, "account-2"]
    room.register_many(accounts)
    campaign_id = room.send(AccountList(account_ids=accounts), title="For all")
    first = room.deliver(campaign_id, 0, 2)
    assert first.counts == {"sent": 2}
    service.forget()
    [row] = service.rows()
    assert "title" not in row
    room.push.register(account_id=PERSON)
    last = room.deliver(campaign_id, 0, 3)
    assert last.counts == {"sent": 3}
    assert len(room.push.accepted()) == 3
    read = NotificationService.get_push_notification(notification_id=str(row["_id"]))
    assert (read.title, read.devices[0].device_id) == ("For all", "erased")


def test_a_campaign_that_comes_to_them_later_tells_nobody(service: Service) -> None:
    room = service.room
    room.register_many([PERSON, "account-1"])
    campaign_id = room.send(AccountList(account_ids=[PERSON, "account-1"]))
    service.forget()
    assert room.deliver(campaign_id, 0, 2).counts == {"failed:no_active_devices": 1, "sent": 1}


def test_rows_of_a_campaign_that_wait_are_withdrawn(service: Service) -> None:
    room = service.room
    room.register_many(["account-1"])
    room.push.register("UNAVAILABLE", PERSON)
    campaign_id = room.send(AccountList(account_ids=[PERSON, "account-1"]))
    assert room.deliver(campaign_id, 0, 2).counts == {"pending": 1, "sent": 1}
    assert service.forget().withdrawn == 1
    report = room.deliver(campaign_id, 0, 2)
    assert (report.counts, report.retry_in_seconds) == ({"cancelled": 1, "sent": 1}, None)


def test_many_rows_are_emptied(service: Service) -> None:
    push = service.room.push
    template = push.stored(tell(service))
    others = [
        {name: value for name, value in template.items() if name not in ("_id", "idempotency_key")}
    ] * 1_200
    service.room.rows.insert_many([dict(each) for each in others])
    report = service.forget()
    assert (report.erased["push_notifications"], report.withdrawn) == (1_201, 1_201)
    assert [each for each in SECRETS if each in service.everything()] == []


@pytest.mark.parametrize("account_id", ["", None, 7, " padded", "x" * 129])
def test_an_account_is_named_by_its_id(service: Service, account_id: object) -> None:
    with pytest.raises(InvalidInputError) as refused:
        ErasureService.erase_account(account_id=account_id)  # type: ignore[arg-type]
    assert refused.value.field == "account_id"


@pytest.mark.parametrize("account_id", ["$title", "{}", ".*"])
def test_an_account_id_is_only_a_text(service: Service, account_id: str) -> None:
    service.room.push.register(account_id=PERSON)
    tell(service)
    assert service.forget(account_id).erased == NOBODY


def test_a_report_does_not_change(service: Service) -> None:
    with pytest.raises(FrozenInstanceError):
        service.forget().withdrawn = 1  # type: ignore[misc]


def test_silent_and_expired_rows_are_emptied_too(service: Service) -> None:
    push = service.room.push
    push.register(account_id=PERSON)
    silent = push.send(account_id=PERSON, title=None, body=None, data={"k": "a-value-of-theirs"})
    expired = push.send(account_id=PERSON, expires_at=datetime.now() + timedelta(hours=1))
    past = datetime.now() - timedelta(minutes=1)
    service.room.rows.update_one({"_id": push.stored(expired)["_id"]}, {"$set": {"expires_at": past}})
    push.deliver(silent, expired)
    report = service.forget()
    assert report.erased["push_notifications"] == 2
    assert NotificationService.get_push_notification(notification_id=silent).title is None
    assert [each for each in SECRETS if each in service.everything()] == []

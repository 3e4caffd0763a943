"""What a caller says arrives at FCM: taps, silence and interruption levels, also from rows stored before."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.errors import WriteError

from local_stack.local_stack_service import LocalStack
from modules.application.errors import InvalidInputError
from modules.campaign.campaign_service import CampaignService
from modules.campaign.run_types import SliceParams
from modules.campaign.types import AccountList, Topic
from modules.device_token.types import Platform
from modules.notification.errors import IdempotencyKeyConflictError
from modules.notification.notification_service import NotificationService
from modules.notification.types import ApnsOptions, SendPushParams, Status
from tests.support.campaigns import CampaignRoom, campaign_room
from tests.support.push_rows import Document, make_document
from tests.support.push_service import ACCOUNT, PushService, push_service

BASE = "https://example.com/app"
# What release 0.1.0 stored for title, body, data, image_url and click_action below.
FINGERPRINT_OF_BEFORE = "bbc16ff6c0b0f2f06a5cc8e0c7957becf8394360ef3d81da53370e3996a91415"
CONTENT_OF_BEFORE: dict[str, Any] = {
    "data": {"type": "appointment"},
    "image_url": "https://example.com/a.png",
    "click_action": "/appointments/appt123",
}


@pytest.fixture
def room(stack: LocalStack, database_name: str) -> Iterator[CampaignRoom]:
    with campaign_room(stack, database_name) as opened:
        yield opened


def send_silently(account_id: str = ACCOUNT, **over: Any) -> str:
    call = {"immediate": True, **over}
    return NotificationService.send_push_for_account(
        account_id=account_id, params=SendPushParams(data={"type": "sync"}), **call
    )


def stored_before(service: PushService, **over: Any) -> Document:
    """A pending row as release 0.1.0 wrote it."""
    row = make_document(
        account_id=ACCOUNT,
        **CONTENT_OF_BEFORE,
        content_fingerprint=FINGERPRINT_OF_BEFORE,
        options={
            "android": dict.fromkeys(("channel_id", "priority", "collapse_key", "sound")),
            "apns": {"headers": {}, **dict.fromkeys(("badge", "sound", "thread_id"))},
            "webpush": {"link": None},
            "analytics_label": None,
        },
        **over,
    )
    service.rows.insert_one(row)
    return row


def sent_by(service: PushService) -> list[dict[str, Any]]:
    """The messages to this test's devices, as FCM was given them."""
    messages = [json.loads(capture["body"])["message"] for capture in service.simulator.captures()]
    return [each for each in messages if each.get("token", "").startswith(service.mark)]


@pytest.fixture
def captured(service: PushService) -> Iterator[PushService]:
    service.simulator.keep_captures(200)
    yield service
    service.simulator.keep_captures(0)


class TestSilentPushes:
    def test_are_stored_and_sent_without_a_text(self, captured: PushService) -> None:
        captured.register(platform=Platform.IOS)
        notification_id = send_silently()
        read = captured.read(notification_id)
        assert (read.status, read.title, read.body) == (Status.SENT, None, None)
        (message,) = sent_by(captured)
        assert "notification" not in message
        assert message["data"] == {"type": "sync"}
        assert message["apns"]["payload"] == {"aps": {"content-available": 1}}

    def test_are_listed_with_the_others(self, service: PushService) -> None:
        send_silently(immediate=False)
        service.send()
        found = NotificationService.list_push_notifications(account_id=ACCOUNT)
        assert [each.title for each in found] == ["Appointment", None]

    def test_have_idempotency_keys(self, service: PushService) -> None:
        service.register()
        first = send_silently(idempotency_key="sync-1")
        assert send_silently(idempotency_key="sync-1") == first
        with pytest.raises(IdempotencyKeyConflictError):
            service.send(idempotency_key="sync-1", immediate=True)
        assert len(service.accepted()) == 1

    def test_with_nothing_to_say_are_refused_and_not_written(self, service: PushService) -> None:
        with pytest.raises(InvalidInputError):
            NotificationService.send_push_for_account(account_id=ACCOUNT, params=SendPushParams())
        assert service.rows.count_documents({}) == 0

    def test_go_to_an_audience(self, room: CampaignRoom) -> None:
        for account_id in ("a", "b"):
            room.push.register(account_id=account_id)
        campaign_id = room.send(
            AccountList(account_ids=["a", "b"]), title=None, body=None, data={"type": "sync"}
        )
        params = SliceParams(campaign_id=campaign_id, page=0, start=0, end=2, rate_per_second=None)
        room.push.loop_thread.run(CampaignService.deliver_slice_async(params=params, stopped=asyncio.Event()))
        assert room.read(campaign_id).title is None
        assert room.read(campaign_id).counts == {"sent": 2}
        assert [entry["title"] for entry in room.push.accepted()] == [None, None]

    def test_are_no_larger_for_a_topic_than_fcm_takes(self, room: CampaignRoom) -> None:
        with pytest.raises(InvalidInputError) as refused:
            room.send(Topic(name="news"), title=None, body=None, data={"a": "x" * 3_000})
        assert refused.value.code == "payload_too_large"


def test_the_database_takes_no_empty_text_for_silence(service: PushService) -> None:
    service.rows.insert_one(make_document(title=None, body=None, data={"a": "b"}))
    with pytest.raises(WriteError):
        service.rows.insert_one(make_document(title=""))


def test_an_interruption_level_reaches_apns(captured: PushService) -> None:
    captured.register(platform=Platform.IOS)
    captured.send(immediate=True, apns=ApnsOptions(interruption_level="time-sensitive", sound="default"))
    (message,) = sent_by(captured)
    assert message["apns"]["payload"]["aps"] == {"interruption-level": "time-sensitive", "sound": "default"}


class TestRowsOfBefore:
    def test_have_the_same_key_for_the_same_content(self, service: PushService) -> None:
        row = stored_before(service, idempotency_key="appointment-1")
        again = service.send(idempotency_key="appointment-1", **CONTENT_OF_BEFORE)
        assert again == str(row["_id"])
        assert service.rows.count_documents({}) == 1

    def test_and_another_key_for_what_could_not_be_said_then(self, service: PushService) -> None:
        stored_before(service, idempotency_key="appointment-1")
        level = ApnsOptions(interruption_level="passive")
        with pytest.raises(IdempotencyKeyConflictError):
            service.send(idempotency_key="appointment-1", apns=level, **CONTENT_OF_BEFORE)

    def test_open_what_they_say(self, captured: PushService) -> None:
        captured.register()
        row = stored_before(captured)
        (report,) = captured.deliver(str(row["_id"]))
        assert report.status is Status.SENT
        (message,) = sent_by(captured)
        assert message["data"] == {"type": "appointment", "click_action": "/appointments/appt123"}
        assert "click_action" not in message["android"]["notification"]

    def test_keep_the_intent_they_name(self, captured: PushService) -> None:
        captured.register()
        row = stored_before(captured)
        captured.rows.update_one({"_id": row["_id"]}, {"$set": {"click_action": "OPEN_APPOINTMENT"}})
        captured.deliver(str(row["_id"]))
        (message,) = sent_by(captured)
        assert message["android"]["notification"]["click_action"] == "OPEN_APPOINTMENT"


def test_a_browser_opens_a_path_on_the_site_of_its_own_app(stack: LocalStack, database_name: str) -> None:
    """Two apps of one account, two sites; a third app has none."""
    credentials = stack.environment()["FCM_CREDENTIALS_PATH"]
    apps = {
        "shop": {"credentials_path": credentials, "link_base": "https://shop.example"},
        "plain": {"credentials_path": credentials},
    }
    over = {"FCM_LINK_BASE": BASE, "FCM_APPS": json.dumps(apps)}
    with push_service(stack, database_name, **over) as service:
        service.simulator.keep_captures(200)
        sites = {}
        for app_id in ("default", "shop", "plain"):
            sites[service.register(app_id=app_id, platform=Platform.WEB).address] = app_id
        service.send(immediate=True, click_action="/orders/7")
        links = {
            sites[message["token"]]: message["webpush"].get("fcm_options", {}).get("link")
            for message in sent_by(service)
        }
        service.simulator.keep_captures(0)
    assert links == {
        "default": f"{BASE}/orders/7",
        "shop": "https://shop.example/orders/7",
        "plain": None,
    }

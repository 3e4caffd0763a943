"""What a code's first round of attempts came to, on the real notification service and the simulator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pymongo import MongoClient

from local_stack.local_stack_service import LocalStack
from modules.account.account_service import AccountService
from modules.application.errors import ConfigurationError
from modules.application.mongo_database import MongoDatabase
from modules.authentication.authentication_service import AuthenticationService
from modules.authentication.errors import (
    OneTimePasswordNotConfiguredError,
    OneTimePasswordNotFoundError,
    OneTimePasswordUnreachableError,
)
from modules.authentication.types import OneTimePasswordText
from modules.config.types import OneTimePasswordSettings
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Platform
from modules.notification.notification_service import NotificationService
from modules.notification.types import Status
from tests.support.push_rows import Document
from tests.support.push_service import ACCOUNT, PushService, push_service, settings_for


@dataclass(frozen=True)
class Room:
    push: PushService
    authentication: type[AuthenticationService]
    codes: Any

    def send(self, **over: Any) -> Any:
        return self.authentication.send_one_time_password(account_id=ACCOUNT, **over)

    def messages(self) -> list[Document]:
        """What FCM was given for this test's devices."""
        found = [json.loads(capture["body"])["message"] for capture in self.push.simulator.captures()]
        return [each for each in found if each.get("token", "").startswith(self.push.mark)]


@pytest.fixture
def room(stack: LocalStack, database_name: str) -> Iterator[Room]:
    settings = settings_for(stack, database_name)
    with push_service(stack, database_name) as push, MongoClient[Document](stack.mongodb_uri) as client:
        database = MongoDatabase(settings.mongodb)

        async def start() -> None:
            await AccountService.start(database=database, loop_thread=push.loop_thread)
            await AuthenticationService.start(
                database=database,
                loop_thread=push.loop_thread,
                settings=OneTimePasswordSettings(
                    **{**settings.one_time_password.model_dump(), "reissue_seconds": 0, "codes_per_hour": 100}
                ),
                send_push=NotificationService.send_push_for_account_async,
                read_push=NotificationService.get_push_notification_async,
                app_ids=frozenset(settings.fcm.all_apps()),
            )

        push.loop_thread.run(start())
        push.simulator.keep_captures(200)
        yield Room(push, AuthenticationService, client[database_name]["one_time_passwords"])
        push.simulator.keep_captures(0)
        AuthenticationService.unbind()
        AccountService.unbind()
        push.loop_thread.run(database.close())


def test_the_ticket_counts_the_devices_that_were_reached(room: Room) -> None:
    for fate in ("", "", "UNREGISTERED"):
        room.push.register(fate)
    ticket = room.send()
    assert (ticket.reached, ticket.status) == (2, Status.SENT)


def test_the_ticket_says_that_it_is_still_being_tried(room: Room) -> None:
    room.push.register("UNAVAILABLE")
    ticket = room.send()
    assert (ticket.reached, ticket.status) == (0, Status.PENDING)


def test_an_account_without_a_device_is_told_so_and_no_code_is_made(room: Room) -> None:
    with pytest.raises(OneTimePasswordUnreachableError, match="no active device") as unreachable:
        room.send()
    assert unreachable.value.notification_id is None
    assert room.codes.count_documents({}) == 0
    assert room.push.rows.count_documents({}) == 0


def test_a_code_that_nobody_can_be_sent_leaves_the_former_one(room: Room) -> None:
    device = room.push.register()
    ticket = room.send()
    code = room.messages()[0]["data"]["code"]
    DeviceTokenService.deactivate_device(account_id=ACCOUNT, device_id=device.id)
    with pytest.raises(OneTimePasswordUnreachableError):
        room.send()
    room.authentication.verify_one_time_password(account_id=ACCOUNT, ticket_id=ticket.id, code=code)


def test_when_every_device_is_dead_the_caller_is_told_and_no_code_is_valid(room: Room) -> None:
    for _ in range(2):
        room.push.register("UNREGISTERED")
    with pytest.raises(OneTimePasswordUnreachableError, match="UNREGISTERED") as unreachable:
        room.send()
    assert unreachable.value.notification_id is not None
    (document,) = room.codes.find()
    assert (document["code_hash"], document["issued_at"]) == (None, [])
    code = room.messages()[0]["data"]["code"]
    with pytest.raises(OneTimePasswordNotFoundError):
        room.authentication.verify_one_time_password(
            account_id=ACCOUNT, ticket_id=document["ticket_id"], code=code
        )


def test_without_credentials_for_any_app_the_setting_is_named(room: Room) -> None:
    room.push.register(app_id="other")
    with pytest.raises(OneTimePasswordNotConfiguredError) as refused:
        room.send()
    assert isinstance(refused.value, ConfigurationError)
    assert refused.value.field == "fcm.apps.other.credentials_path"
    assert refused.value.field in refused.value.reason
    assert room.codes.count_documents({}) == 0


def test_one_app_with_credentials_is_enough(room: Room) -> None:
    room.push.register(app_id="other")
    room.push.register()
    assert room.send().reached == 1


@pytest.mark.parametrize(
    ("locale", "title", "body"),
    [
        ("de", "Ihr Code", "Ihr Code lautet {code}"),
        ("de-AT", "Ihr Code", "Ihr Code lautet {code}"),
        ("pt-BR", "Seu código", "Seu código é {code}"),
        ("en-GB", "Your code", "Your code is {code}"),
        ("eo", "Your code", "Your code is {code}"),
        (None, "Your code", "Your code is {code}"),
    ],
)
def test_it_speaks_the_accounts_language(room: Room, locale: str | None, title: str, body: str) -> None:
    if locale is not None:
        AccountService.upsert_account(account_id=ACCOUNT, locale=locale)
    room.push.register()
    room.send()
    (message,) = room.messages()
    code = message["data"]["code"]
    assert message["notification"] == {"title": title, "body": body.replace("{code}", code)}


def test_the_caller_may_say_it_in_own_words(room: Room) -> None:
    room.push.register()
    room.send(text=OneTimePasswordText(title="Acme {code}", body="{0} Never share it {name}"))
    (message,) = room.messages()
    code = message["data"]["code"]
    assert message["notification"] == {"title": f"Acme {code}", "body": "{0} Never share it {name}"}


def test_it_sounds_and_comes_at_once_on_both_platforms(room: Room) -> None:
    room.push.register(platform=Platform.IOS)
    room.send()
    (message,) = room.messages()
    assert message["apns"]["payload"]["aps"] == {"sound": "default", "interruption-level": "time-sensitive"}
    assert message["apns"]["headers"]["apns-priority"] == "10"
    assert message["android"]["priority"] == "high"
    assert message["android"]["notification"]["sound"] == "default"

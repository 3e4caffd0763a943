"""The service under test, bound to a database of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection

from modules.account.account_service import AccountService
from modules.application.errors import ServiceError
from modules.application.event_loop_thread import EventLoopThread
from modules.application.mongo_database import MongoDatabase
from modules.authentication.authentication_service import AuthenticationService
from modules.config.types import OneTimePasswordSettings
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Platform, TargetKind
from modules.notification.types import DeviceDelivery, Outcome, PushNotification, SendPushParams, Status

Document = dict[str, Any]
ACCOUNTS = ("acc-1", "acc-2", "$purpose", "$$NOW", "a:b")
UNLIMITED = {"digits": 6, "ttl_seconds": 600, "max_attempts": 5, "reissue_seconds": 0, "codes_per_hour": 1000}
Start = Callable[..., type[AuthenticationService]]


@dataclass(frozen=True)
class SentPush:
    account_id: str
    params: SendPushParams
    immediate: bool
    expires_at: datetime

    @property
    def code(self) -> str:
        return self.params.data["code"]


@dataclass
class Outbox:
    """Stands where the notification service is; keeps what it was asked to send, all of it accepted."""

    sent: list[SentPush] = field(default_factory=list)
    failure: ServiceError | None = None
    read_failure: ServiceError | None = None

    async def send_push(
        self, *, account_id: str, params: SendPushParams, immediate: bool, expires_at: datetime
    ) -> str:
        self.sent.append(SentPush(account_id, params, immediate, expires_at))
        if self.failure is not None:
            raise self.failure
        return f"notification-{len(self.sent)}"

    async def read_push(self, *, notification_id: str) -> PushNotification:
        if self.read_failure is not None:
            raise self.read_failure
        return accepted_push(notification_id)


def accepted_push(notification_id: str) -> PushNotification:
    """A notification that one device took."""
    now = datetime.now(UTC)
    unset = {field.name: None for field in fields(PushNotification)}
    device = DeviceDelivery(
        device_id="device-1",
        app_id="default",
        outcome=Outcome.ACCEPTED,
        code="OK",
        attempts=1,
        unknown_attempts=0,
        message_id="projects/demo/messages/1",
        last_attempt_at=now,
    )
    said: dict[str, Any] = {"id": notification_id, "status": Status.SENT, "devices": (device,)}
    return PushNotification(**{**unset, **said})


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def start(database: MongoDatabase, loop_thread: EventLoopThread, outbox: Outbox) -> Iterator[Start]:
    """Starts the service with the settings given, or six digits, ten minutes, five attempts, as many codes as
    one likes; accounts have a device each.
    """

    async def start_all(settings: OneTimePasswordSettings) -> None:
        await AccountService.start(database=database, loop_thread=loop_thread)
        await DeviceTokenService.start(database=database, loop_thread=loop_thread)
        await AuthenticationService.start(
            database=database,
            loop_thread=loop_thread,
            settings=settings,
            send_push=outbox.send_push,
            read_push=outbox.read_push,
            app_ids={"default"},
        )

    def run(**over: Any) -> type[AuthenticationService]:
        loop_thread.run(start_all(OneTimePasswordSettings(**{**UNLIMITED, **over})))
        for account_id in ACCOUNTS:
            DeviceTokenService.register_device(
                account_id=account_id,
                platform=Platform.IOS,
                kind=TargetKind.TOKEN,
                address=f"token-of-{account_id}",
            )
        return AuthenticationService

    yield run
    for facade in (AuthenticationService, DeviceTokenService, AccountService):
        facade.unbind()


@pytest.fixture
def authentication(start: Start) -> type[AuthenticationService]:
    return start()


@pytest.fixture
def stored(mongodb_uri: str, database_name: str) -> Iterator[Collection[Document]]:
    """The collection as MongoDB has it."""
    with MongoClient[Document](mongodb_uri, tz_aware=True) as client:
        yield client[database_name]["one_time_passwords"]

"""The service under test, bound to a database of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection

from modules.application.errors import ServiceError
from modules.application.event_loop_thread import EventLoopThread
from modules.application.mongo_database import MongoDatabase
from modules.authentication.authentication_service import AuthenticationService
from modules.config.types import OneTimePasswordSettings
from modules.notification.types import SendPushParams

Document = dict[str, Any]
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
    """Stands where the notification service is; keeps what it was asked to send."""

    sent: list[SentPush] = field(default_factory=list)
    failure: ServiceError | None = None

    async def send_push(
        self, *, account_id: str, params: SendPushParams, immediate: bool, expires_at: datetime
    ) -> str:
        self.sent.append(SentPush(account_id, params, immediate, expires_at))
        if self.failure is not None:
            raise self.failure
        return f"notification-{len(self.sent)}"


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def start(database: MongoDatabase, loop_thread: EventLoopThread, outbox: Outbox) -> Iterator[Start]:
    """Starts the service with the settings given, or six digits, ten minutes and five attempts."""

    def run(**over: Any) -> type[AuthenticationService]:
        settings = OneTimePasswordSettings(**{"digits": 6, "ttl_seconds": 600, "max_attempts": 5, **over})
        loop_thread.run(
            AuthenticationService.start(
                database=database, loop_thread=loop_thread, settings=settings, send_push=outbox.send_push
            )
        )
        return AuthenticationService

    yield run
    AuthenticationService.unbind()


@pytest.fixture
def authentication(start: Start) -> type[AuthenticationService]:
    return start()


@pytest.fixture
def stored(mongodb_uri: str, database_name: str) -> Iterator[Collection[Document]]:
    """The collection as MongoDB has it."""
    with MongoClient[Document](mongodb_uri, tz_aware=True) as client:
        yield client[database_name]["one_time_passwords"]

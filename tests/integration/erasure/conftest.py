"""Everything a person leaves in the service, on real servers, in a database of the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from bson import json_util

from local_stack.local_stack_service import LocalStack
from modules.application.mongo_database import MongoDatabase
from modules.authentication.authentication_service import AuthenticationService
from modules.erasure.erasure_service import ErasureService
from modules.erasure.types import ErasureReport
from modules.notification.notification_service import NotificationService
from tests.support.campaigns import CampaignRoom, campaign_room
from tests.support.push_rows import Document
from tests.support.push_service import settings_for

PERSON = "person-1"


@dataclass(frozen=True)
class Service:
    """The whole service but Temporal."""

    room: CampaignRoom

    def forget(self, account_id: str = PERSON) -> ErasureReport:
        return ErasureService.erase_account(account_id=account_id)

    def rows(self, account_id: str = PERSON) -> list[Document]:
        return list(self.room.rows.find({"account_id": account_id}))

    def everything(self) -> str:
        """All documents of all collections, as one text."""
        database = self.room.rows.database
        documents: dict[str, Any] = {
            name: list(database[name].find()) for name in database.list_collection_names()
        }
        return json.dumps(documents, default=json_util.default)


Open = Callable[..., AbstractContextManager[Service]]


@pytest.fixture
def opened(stack: LocalStack, database_name: str) -> Open:
    """Opens the service with settings of the test's own, as variables of the environment."""

    @contextmanager
    def open_with(**over: str) -> Iterator[Service]:
        settings = settings_for(stack, database_name, over)
        with campaign_room(stack, database_name, **over) as room:
            database = MongoDatabase(settings.mongodb)
            loop_thread = room.push.loop_thread
            loop_thread.run(
                AuthenticationService.start(
                    database=database,
                    loop_thread=loop_thread,
                    settings=settings.one_time_password,
                    send_push=NotificationService.send_push_for_account_async,
                    read_push=NotificationService.get_push_notification_async,
                    app_ids=settings.fcm.all_apps(),
                )
            )
            ErasureService.start(loop_thread=loop_thread)
            try:
                yield Service(room)
            finally:
                ErasureService.unbind()
                AuthenticationService.unbind()
                loop_thread.run(database.close())

    return open_with


@pytest.fixture
def service(opened: Open) -> Iterator[Service]:
    with opened() as running:
        yield running

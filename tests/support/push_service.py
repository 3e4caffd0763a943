"""The notification service on real servers, in a database of the test's own, and what the test does to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from pymongo import MongoClient
from pymongo.collection import Collection

from local_stack.local_stack_service import LocalStack
from modules.application.errors import ServiceError
from modules.application.event_loop_thread import EventLoopThread
from modules.application.mongo_database import MongoDatabase
from modules.config.config_service import ConfigService
from modules.config.types import Settings
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Device, Platform, TargetKind
from modules.notification.bulk_service import BulkService
from modules.notification.notification_service import NotificationService
from modules.notification.types import (
    DeliveryReport,
    PushNotification,
    PushNotificationWorkerParams,
    SendPushParams,
)
from modules.preference.preference_service import PreferenceService
from simulator.audit_log import AuditEntry
from simulator.client import SimulatorControl
from tests.support.push_rows import Document

ACCOUNT = "account-1"
PAST = timedelta(minutes=5)


def settings_for(stack: LocalStack, database_name: str, over: Mapping[str, str] | None = None) -> Settings:
    """The settings of a process in the test environment that uses the stack and this database."""
    environment = {**stack.environment(), "APP_ENV": "test", "MONGODB_DATABASE": database_name}
    return ConfigService.load({**environment, **(over or {})})


def make_params(**over: Any) -> SendPushParams:
    return SendPushParams(**{"title": "Appointment", "body": "Tomorrow at ten", **over})


@dataclass
class RunNow:
    """Stands where Temporal is: delivers in this process, or fails as told."""

    failure: ServiceError | None = None
    asked: list[str] = field(default_factory=list)

    async def __call__(self, *, params: PushNotificationWorkerParams, outcome: asyncio.Future[Any]) -> None:
        self.asked.append(params.notification_id)
        if self.failure is not None:
            raise self.failure
        await NotificationService.deliver_async(notification_ids=[params.notification_id])


@dataclass(frozen=True)
class PushService:
    """NotificationService with its collection, its loop and the simulator behind it."""

    loop_thread: EventLoopThread
    rows: Collection[Document]
    simulator: SimulatorControl
    run_now: RunNow
    mark: str = field(default_factory=lambda: uuid4().hex[:12])

    def token(self, instruction: str = "") -> str:
        """An address nobody else uses; `instruction` as simulator/README.md has it."""
        return f"{self.mark}-{uuid4().hex[:8]}" + (f"-sim-{instruction}" if instruction else "")

    def register(self, instruction: str = "", account_id: str = ACCOUNT, **over: Any) -> Device:
        wanted = {"platform": Platform.ANDROID, "kind": TargetKind.TOKEN, "address": self.token(instruction)}
        return DeviceTokenService.register_device(account_id=account_id, **{**wanted, **over})

    def send(self, account_id: str = ACCOUNT, **over: Any) -> str:
        call = {
            name: over.pop(name) for name in list(over) if name not in SendPushParams.__dataclass_fields__
        }
        return NotificationService.send_push_for_account(
            account_id=account_id, params=make_params(**over), **call
        )

    def deliver(self, *notification_ids: str) -> list[DeliveryReport]:
        return self.loop_thread.run(NotificationService.deliver_async(notification_ids=notification_ids))

    def read(self, notification_id: str) -> PushNotification:
        return NotificationService.get_push_notification(notification_id=notification_id)

    def stored(self, notification_id: str) -> Document:
        (document,) = [each for each in self.rows.find() if str(each["_id"]) == notification_id]
        return document

    def make_due(self, notification_id: str) -> None:
        """As if the time until the next retry had passed."""
        past = datetime.now(UTC) - PAST
        document = self.stored(notification_id)
        times: Document = {"due_at": past, "next_retry_at": past}
        for position, device in enumerate(document["devices"]):
            if device["not_before"] is not None:
                times[f"devices.{position}.not_before"] = past
        self.rows.update_one({"_id": document["_id"]}, {"$set": times})

    def lose_claim(self, notification_id: str) -> None:
        """As if the owner had died and its lease had run out."""
        past = datetime.now(UTC) - PAST
        row_id = self.stored(notification_id)["_id"]
        self.rows.update_one({"_id": row_id}, {"$set": {"due_at": past, "claim.lease_expires_at": past}})

    def accepted(self, since: int = 0) -> list[AuditEntry]:
        """What the simulator accepted for this test's devices."""
        return [entry for entry in self.simulator.audit(since) if entry["target"].startswith(self.mark)]

    def devices(self, account_id: str = ACCOUNT) -> dict[str, Device]:
        found = DeviceTokenService.list_devices(account_id=account_id, include_inactive=True)
        return {device.id: device for device in found}


@contextmanager
def push_service(stack: LocalStack, database_name: str, **over: str) -> Iterator[PushService]:
    """The services of a delivery bound to a loop of their own; `over` are variables of the environment."""
    settings = settings_for(stack, database_name, over)
    loop_thread, run_now = EventLoopThread("test"), RunNow()
    database = MongoDatabase(settings.mongodb)

    async def start() -> None:
        await DeviceTokenService.start(database=database, loop_thread=loop_thread)
        await PreferenceService.start(database=database, loop_thread=loop_thread)
        await NotificationService.start(
            database=database, loop_thread=loop_thread, settings=settings, run_worker=run_now
        )

    async def stop() -> None:
        await NotificationService.stop()
        await database.close()

    simulator = SimulatorControl(stack.simulator.endpoint, stack.simulator.ca_file)
    try:
        loop_thread.run(start())
        with MongoClient[Document](stack.mongodb_uri, tz_aware=True) as client:
            yield PushService(loop_thread, client[database_name]["push_notifications"], simulator, run_now)
        loop_thread.run(stop())
    finally:
        loop_thread.stop()
        for facade in (BulkService, NotificationService, PreferenceService, DeviceTokenService):
            facade.unbind()

"""One test's corner of the stack: its database, task queues, processes and simulator, and its invariant."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from bson import ObjectId
from pymongo import MongoClient

from bootstrap import Application, Role, bootstrap
from local_stack.local_stack_service import LocalStack
from modules.application.application_service import ApplicationService
from modules.application.worker import Lane
from modules.config.config_service import ConfigService
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Device, Platform, TargetKind
from modules.logger.logger_service import LoggerService
from modules.notification.notification_service import NotificationService
from modules.notification.types import OutcomePolicy, PushNotificationWorkerParams, SendPushParams
from modules.notification.workers.params import ScanCounts
from modules.notification.workers.push_notification_worker import PushNotificationWorker
from modules.notification.workers.push_notifications_worker import PushNotificationsWorker
from simulator.audit_log import AuditEntry
from simulator.client import SimulatorControl
from tests.support.invariant import Document, leaks_of, problems_of
from tests.support.process_logs import logging_as_before
from tests.support.servers import ROOT, eventually
from tests.support.service_process import ServiceProcess
from tests.support.temporal_probe import TemporalProbe

LEASE_SECONDS = 2.0
# So that tests that end processes need not wait as long as the defaults; a process that is only slow loses
# its claims at these, so a test that serves by itself keeps the defaults.
QUICK_TAKEOVER = {
    "TEMPORAL_WORKFLOW_TASK_TIMEOUT_SECONDS": "2",
    "DELIVERY_LEASE_SECONDS": f"{LEASE_SECONDS:g}",
}
FINISH_SECONDS = 60.0
HISTORIES_READ = 20
HANGING_SHOWN = 5
UNSETTLED = {"active": True, "status": {"$in": ["pending", "processing"]}}


class FaultRoom:
    """Everything a fault test does goes through here; `close` ends what it started."""

    def __init__(self, stack: LocalStack, probe: TemporalProbe, **settings: object) -> None:
        mark = uuid.uuid4().hex[:10]
        self.stack = stack
        self.probe = probe
        self.simulator = SimulatorControl(stack.simulator.endpoint, stack.simulator.ca_file)
        self.since = self.simulator.position()
        self.database = f"fault_{mark}"
        self.prefix = f"fault-{mark}"
        self.title, self.body = f"title-{mark}-marker", f"body-{mark}-marker"
        self.address_mark = f"address-{mark}-marker"
        self.processes: list[ServiceProcess] = []
        self.environment = {
            **os.environ,
            **stack.environment(),
            "APP_ENV": "test",
            "LOG_LEVEL": "INFO",
            "PYTHONPATH": str(ROOT),
            "MONGODB_DATABASE": self.database,
            "TEMPORAL_TASK_QUEUE_PREFIX": self.prefix,
            **QUICK_TAKEOVER,
            "DELIVERY_MAX_BACKOFF_SECONDS": "0.3",
            "DELIVERY_IMMEDIATE_MAX_BACKOFF_SECONDS": "0.3",
            "DELIVERY_BREAKER_COOLDOWN_SECONDS": "0.5",
            **{name: str(value) for name, value in settings.items()},
        }
        self._quick_takeover = QUICK_TAKEOVER.keys() - settings.keys()
        self.own_log = self._log("own")
        self._application: Application | None = None
        self._mongodb: MongoClient[Document] = MongoClient(stack.mongodb_uri, tz_aware=True)
        self._notifications = self._mongodb[self.database]["push_notifications"]

    @classmethod
    @contextmanager
    def opened(cls, stack: LocalStack, **settings: object) -> Iterator[Self]:
        with ExitStack() as closing:
            probe = closing.enter_context(TemporalProbe.opened(stack.temporal_address))
            room = cls(stack, probe, **settings)
            closing.enter_context(logging_as_before())
            closing.callback(room.close)
            yield room

    def close(self) -> None:
        for process in self.processes:
            process.kill()
        if self._application is not None:
            self._application.close()
            self._own_log.close()
        self.simulator.reset()
        self.probe.delete_schedule(f"{self.prefix}-push-notifications")
        self._mongodb.drop_database(self.database)
        self._mongodb.close()

    # Processes

    def become(self, role: Role) -> Application:
        """Bootstrap the test's own process; done as a caller by the first call that needs it."""
        if self._application is None:
            left_out = self._quick_takeover if role is Role.WORKER else set()
            environment = {k: v for k, v in self.environment.items() if k not in left_out}
            self.own_log.parent.mkdir(parents=True, exist_ok=True)
            self._own_log = self.own_log.open("a")
            with contextlib.redirect_stderr(self._own_log):
                settings = ConfigService.load(environment)
                LoggerService.configure(settings.logging)
                self._application = bootstrap(settings, role=role)
        return self._application

    def worker(self, *, skew_seconds: float = 0.0, **settings: Any) -> ServiceProcess:
        """Start a worker process and return once it polls every task queue."""
        started = self.begin_worker(skew_seconds=skew_seconds, **settings)
        queues = [self.task_queue(lane) for lane in Lane]

        def serves() -> bool:
            assert started.is_running, started.output
            return self.probe.is_polled_by(started.pid, queues)

        eventually(serves, within_seconds=40)
        return started

    def begin_worker(
        self, *, skew_seconds: float = 0.0, code: Path = ROOT, **settings: Any
    ) -> ServiceProcess:
        """Start a worker process, of the `code` in another folder if wanted, and return at once."""
        skewed = ("tests.support.skewed_worker", str(skew_seconds))
        command = skewed if skew_seconds else ("modules.cli.main", "worker", "--processes", "1")
        return self.process(*command, code=code, **settings)

    def caller(self, *, account_id: str, immediate: bool, idempotency_key: str | None) -> ServiceProcess:
        """Start a process that registers the account's device and sends one push."""
        wanted = {
            "account_id": account_id,
            "address": f"{self.address_mark}-{account_id}",
            "title": self.title,
            "body": self.body,
            "immediate": immediate,
            "idempotency_key": idempotency_key,
        }
        return self.process("tests.support.caller_main", json.dumps(wanted))

    def process(self, module: str, *arguments: str, code: Path = ROOT, **settings: Any) -> ServiceProcess:
        """Start a module of `code` as a process that uses this room's servers and database."""
        environment = {**self.environment, **{name: str(value) for name, value in settings.items()}}
        environment["PYTHONPATH"] = str(code)
        log = self._log(str(len(self.processes)))
        process = ServiceProcess(module, *arguments, environment=environment, log=log, folder=code)
        self.processes.append(process)
        return process

    def _log(self, name: str) -> Path:
        return self.stack.folder / "logs" / f"{self.prefix}-{name}.log"

    def task_queue(self, lane: Lane) -> str:
        return f"{self.prefix}-{lane.value}"

    # What callers do

    def register(self, account_id: str, instruction: str = "") -> Device:
        """Register a device; `instruction` is the simulator's, as in `sim-UNREGISTERED`."""
        self.become(Role.CALLER)
        number = uuid.uuid4().hex[:6]
        address = f"{self.address_mark}-{number}" + (f":{instruction}-" if instruction else "")
        return DeviceTokenService.register_device(
            account_id=account_id, platform=Platform.ANDROID, kind=TargetKind.TOKEN, address=address
        )

    def params(self, policy: OutcomePolicy = OutcomePolicy.AT_LEAST_ONCE) -> SendPushParams:
        return SendPushParams(title=self.title, body=self.body, outcome_policy=policy)

    def send(
        self,
        account_id: str,
        *,
        immediate: bool = False,
        expires_at: datetime | None = None,
        policy: OutcomePolicy = OutcomePolicy.AT_LEAST_ONCE,
    ) -> str:
        self.become(Role.CALLER)
        return NotificationService.send_push_for_account(
            account_id=account_id, params=self.params(policy), immediate=immediate, expires_at=expires_at
        )

    def send_many(self, account_ids: Sequence[str], **options: Any) -> list[str]:
        """Queue one normal row for each account."""
        self.become(Role.CALLER)

        async def queued() -> list[str]:
            return await asyncio.gather(
                *(
                    NotificationService.send_push_for_account_async(
                        account_id=account_id, params=self.params(), **options
                    )
                    for account_id in account_ids
                )
            )

        return asyncio.run(queued())

    def accounts(self, count: int) -> list[str]:
        """Accounts with one device each."""
        names = [f"account-{number}" for number in range(count)]
        for name in names:
            self.register(name)
        return names

    def start_worker(self, notification_id: str) -> None:
        """Start the individual worker of a normal row, as the master worker would."""
        row = self.row(notification_id)
        ApplicationService.start_worker(
            cls=PushNotificationWorker,
            params=PushNotificationWorkerParams(
                notification_id=notification_id, account_id=row["account_id"], priority=row["priority"]
            ),
        )

    def scan(self) -> ScanCounts:
        """Trigger the master worker and wait for its run."""
        self.become(Role.CALLER)
        counts = ApplicationService.run_scheduled_worker_now(cls=PushNotificationsWorker)
        assert isinstance(counts, ScanCounts)
        return counts

    def finish(self, within_seconds: float = FINISH_SECONDS) -> None:
        """Scan whenever something is due until every row is final."""

        def all_final() -> bool:
            if self.due_count():
                self.scan()
            return self.open_count() == 0

        try:
            eventually(all_final, within_seconds=within_seconds)
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self._what_hangs()])) from None

    def _what_hangs(self) -> list[str]:
        open_rows = list(self._notifications.find(UNSETTLED))
        lines = [f"{len(open_rows)} row(s) are not final"]
        for row in open_rows[:HANGING_SHOWN]:
            shown = ("_id", "status", "fence", "claim", "due_at", "next_retry_at", "error_type", "events")
            lines.append(str({name: row.get(name) for name in shown}))
            lines.append(self.probe.story(f"push-notification/{row['_id']}"))
        return lines

    # What is recorded

    def rows(self) -> list[Document]:
        return list(self._notifications.find())

    def whole_rows(self) -> list[Document]:
        """All rows, those of campaigns with their campaign's content, and what is the model's default."""
        campaigns = {
            each["_id"]: each["content"] for each in self._mongodb[self.database]["campaigns"].find()
        }
        return [
            {"devices": [], **campaigns.get(row.get("campaign", {}).get("id"), {}), **row}
            for row in self.rows()
        ]

    def row(self, notification_id: str) -> Document:
        row = self._notifications.find_one({"_id": ObjectId(notification_id)})
        assert row is not None
        return row

    def device(self, device_id: str) -> Document:
        return next(device for device in self.devices() if str(device["_id"]) == device_id)

    def devices(self) -> list[Document]:
        return list(self._mongodb[self.database]["devices"].find())

    def due_count(self) -> int:
        due = {
            "$expr": {"$lte": [{"$ifNull": ["$due_at", "$$REMOVE"]}, "$$NOW"]},
            "due_at": {"$exists": True},
        }
        return self._notifications.count_documents(due)

    def open_count(self) -> int:
        """How many rows are not final, all at one moment.

        Without a snapshot a count that yields misses a row that goes from the keys of one status to those of
        the other meanwhile (MongoDB, "Read Isolation, Consistency, and Recency").
        """
        with self._notifications.database.client.start_session(snapshot=True) as session:
            return self._notifications.count_documents(UNSETTLED, session=session)

    def audit(self) -> list[AuditEntry]:
        """What the simulator accepted for this room."""
        entries = self.simulator.audit(self.since)
        return [entry for entry in entries if self.address_mark in entry["target"]]

    def wait_for_status(self, notification_id: str, status: str, within_seconds: float = 20.0) -> Document:
        eventually(lambda: self.row(notification_id)["status"] == status, within_seconds=within_seconds)
        return self.row(notification_id)

    def wait_for_audit(self, count: int, within_seconds: float = 20.0) -> None:
        eventually(lambda: len(self.audit()) >= count, within_seconds=within_seconds)

    def wait_until(self, condition: Callable[[], bool], within_seconds: float = 20.0) -> None:
        eventually(condition, within_seconds=within_seconds)

    def problems(self) -> list[str]:
        """Every breach of the invariant of faults.md."""
        texts = {process.log.name: process.output for process in self.processes}
        if self._application is not None:
            texts[self.own_log.name] = self.own_log.read_text()
        queues = [self.task_queue(lane) for lane in Lane]
        for number, history in enumerate(self.probe.histories(queues, HISTORIES_READ)):
            texts[f"history {number}"] = history
        return problems_of(self.rows(), self.devices(), self.audit()) + leaks_of(
            texts, (self.title, self.body, self.address_mark)
        )

    def assert_invariant(self) -> None:
        problems = self.problems()
        assert not problems, "\n".join(problems)

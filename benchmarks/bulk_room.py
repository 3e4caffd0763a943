"""What the bulk benchmarks share: devices and due rows by the thousand, worker processes, the wait."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from bson import ObjectId
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.write_concern import WriteConcern

from benchmarks.bench_room import ProcessorTime, bench_stack, tell
from bootstrap import Application, Role, bootstrap
from demo.serve import run_process
from demo.worker_process import WorkerProcess
from local_stack.local_stack_service import LocalStack
from local_stack.types import SimulatorEngine
from modules.application.app_ids import DEFAULT_APP_ID
from modules.device_token.types import DeviceState, Platform, TargetKind
from modules.notification.internals.push_notification_writer import NewPush, new_row
from modules.notification.types import Priority, SendPushParams
from simulator.client import SimulatorControl

PARAMS = SendPushParams(
    title="Appointment Reminder",
    body="Your appointment is in 1 hour",
    data={"type": "appointment", "appointment_id": "appt123"},
)
BATCH = 1_000
LOOK_AGAIN_SECONDS = 0.2
LIMIT_SECONDS = 900.0
# As long as registration tokens are.
TOKEN_PADDING = "x" * 140

Documents = Collection[dict[str, Any]]


@dataclass(frozen=True)
class BulkRoom:
    """Servers, an application that asks and administers, and the database behind it."""

    stack: LocalStack
    application: Application
    database: Database[dict[str, Any]]

    @property
    def rows(self) -> Documents:
        return self.database["push_notifications"]

    @property
    def control(self) -> SimulatorControl:
        return SimulatorControl(self.stack.simulator.endpoint, self.stack.simulator.ca_file)

    def sent(self) -> int:
        return self.rows.count_documents({"status": "sent"})

    def wait_sent(self, wanted: int, accepted: int) -> None:
        """Return when `wanted` rows in all are `sent`; raises TimeoutError after LIMIT_SECONDS.

        What the simulator has accepted, up to `accepted` in all, is asked first: counting rows costs MongoDB.
        """
        wait_until(told_each("accepted", lambda: int(self.control.stats()["accepted"]), accepted))
        wait_until(lambda: self.sent() >= wanted)

    def register_devices(self, accounts: Sequence[str]) -> None:
        """One active Android device an account."""
        for batch in _batches(accounts):
            self.database["devices"].insert_many([_device(account) for account in batch], ordered=False)

    def store_due_rows(self, accounts: Sequence[str]) -> None:
        """One due row an account, as the service itself writes them."""
        for batch in _batches(accounts):
            now = datetime.now(UTC)
            push = NewPush(account_id="", params=PARAMS, priority=Priority.NORMAL)
            template = new_row(push, now).to_document()
            documents = [{**template, "_id": ObjectId(), "account_id": account} for account in batch]
            self.rows.insert_many(documents, ordered=False)

    @contextmanager
    def workers(self, count: int) -> Iterator[dict[str, int]]:
        """So many worker processes, serving; gives every process's id by name, servers too."""
        workers = [
            WorkerProcess(Path(self.stack.folder) / "logs" / f"worker-{number}.log")
            for number in range(count)
        ]
        try:
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.wait_ready()
            servers = {name: server.pid for name, server in self.stack.servers.items()}
            yield {**servers, **{f"worker_{number}": each.pid for number, each in enumerate(workers)}}
        finally:
            for worker in workers:
                worker.stop()


@contextmanager
def bulk_room(name: str, engine: SimulatorEngine = "granian") -> Iterator[BulkRoom]:
    """Fresh servers and an application of role OPERATOR, for one benchmark."""
    with bench_stack(name, engine) as stack:
        # The ramp's purpose is to slow down; it is left out here and tested for what it does.
        os.environ["RATE_RAMP_SECONDS"] = "0"
        application = bootstrap(role=Role.OPERATOR)
        client: MongoClient[dict[str, Any]] = MongoClient(stack.mongodb_uri, tz_aware=True)
        database = client.get_database(
            application.settings.mongodb.database, write_concern=WriteConcern("majority")
        )
        try:
            yield BulkRoom(stack, application, database)
        finally:
            client.close()
            application.close()


def run_benchmark(
    name: str,
    measure: Callable[[BulkRoom, argparse.Namespace], dict[str, object]],
    *,
    description: str | None,
    **sizes: int,
) -> NoReturn:
    """Run a benchmark as this process: `sizes` are its options, the last line it prints its figures."""

    def main() -> int:
        parser = argparse.ArgumentParser(description=description)
        for option, size in sizes.items():
            parser.add_argument(f"--{option}", type=int, default=size)
        parser.add_argument("--processes", type=int, default=os.cpu_count())
        options = parser.parse_args()
        with bulk_room(name) as room:
            summary = measure(room, options)
        sys.stderr.flush()
        print(json.dumps(summary))
        return 0

    run_process(main)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done in {LIMIT_SECONDS:.0f} s")
        time.sleep(LOOK_AGAIN_SECONDS)


def processor_us_each(before: ProcessorTime, after: ProcessorTime, count: int) -> dict[str, int]:
    used = after.since(before).seconds
    return {name: round(seconds / count * 1e6) for name, seconds in used.items()}


def make_accounts(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number:07d}" for number in range(count)]


def told_each(label: str, done: Callable[[], int], wanted: int) -> Callable[[], bool]:
    """A condition that is met at `wanted` and says now and then how far it is."""
    last = [time.monotonic()]

    def reached() -> bool:
        now_done = done()
        if time.monotonic() - last[0] > 5:
            last[0] = time.monotonic()
            tell(f"{label}: {now_done} of {wanted}")
        return now_done >= wanted

    return reached


def _batches(accounts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(accounts), BATCH):
        yield accounts[start : start + BATCH]


def _device(account: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "account_id": account,
        "app_id": DEFAULT_APP_ID,
        "platform": Platform.ANDROID.value,
        "kind": TargetKind.TOKEN.value,
        "address": f"{account}-{TOKEN_PADDING}",
        "state": DeviceState.ACTIVE.value,
        "state_reason": None,
        "state_changed_at": now,
        "registered_at": now,
        "last_seen_at": now,
        "version": 1,
    }

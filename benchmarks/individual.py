"""Measures the ordinary path, one workflow a row, against bare workflows on the same server and worker.

`python -m benchmarks.individual [--rows 1000] [--blocks 3] [--engine granian]`; the last line is one JSON
object. A block is timed from the trigger to the last row `sent`, or to the last local activity done; blocks
of the two kinds take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from pymongo import MongoClient
from pymongo.collection import Collection
from temporalio.client import Client

from benchmarks.bare_workflow import STARTER_QUEUE, BareStarter, StartParams
from benchmarks.bench_room import ProcessorTime, bench_stack, tell
from bootstrap import Application, bootstrap
from demo.serve import run_process
from demo.worker_process import WorkerProcess
from local_stack.local_stack_service import LocalStack
from modules.application.application_service import ApplicationService
from modules.application.errors import UnavailableError
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Platform, TargetKind
from modules.notification.notification_service import NotificationService
from modules.notification.types import SendPushParams
from modules.notification.workers.push_notifications_worker import PushNotificationsWorker
from simulator.client import SimulatorControl

CONCURRENT_WRITES = 50
LOOK_AGAIN_SECONDS = 0.02
BLOCK_LIMIT_SECONDS = 240.0
PARAMS = SendPushParams(
    title="Appointment Reminder",
    body="Your appointment is in 1 hour",
    data={"type": "appointment", "appointment_id": "appt123"},
)

Rows = Collection[dict[str, object]]


async def all_of(count: int, work: Callable[[int], Awaitable[object]]) -> None:
    free = asyncio.Semaphore(CONCURRENT_WRITES)

    async def one(number: int) -> None:
        async with free:
            await work(number)

    await asyncio.gather(*(one(number) for number in range(count)))


async def register(number: int) -> None:
    await DeviceTokenService.register_device_async(
        account_id=f"bench-{number}",
        platform=Platform.ANDROID,
        kind=TargetKind.TOKEN,
        address=f"bench-device-{number}",
    )


async def store_row(number: int) -> None:
    await NotificationService.send_push_for_account_async(account_id=f"bench-{number}", params=PARAMS)


def time_rows(application: Application, rows: Rows, count: int) -> float:
    """Seconds from the trigger to the last of `count` rows `sent`."""
    # Counted first: the schedule's own scan may take some of them before the trigger.
    wanted = rows.count_documents({"status": "sent"}) + count
    application.loop_thread.run(all_of(count, store_row))
    started = time.perf_counter()
    with suppress(UnavailableError):
        # It gives up on a long scan; the scan does not.
        ApplicationService.run_scheduled_worker_now(cls=PushNotificationsWorker)
    try:
        wait_until(lambda: rows.count_documents({"status": "sent"}) >= wanted)
    except TimeoutError:
        tell(f"rows by status: {list(rows.aggregate([{'$sortByCount': '$status'}]))}")
        raise
    return time.perf_counter() - started


def time_bare(application: Application, client: Client, count: int) -> float:
    """Seconds from the start of the starter to the last of `count` local activities done."""

    async def run() -> None:
        prefix = f"bare-{uuid4().hex}"
        await client.execute_workflow(
            BareStarter.run,
            StartParams(prefix=prefix, count=count),
            id=f"{prefix}-starter",
            task_queue=STARTER_QUEUE,
        )

    started = time.perf_counter()
    application.loop_thread.run(run())
    return time.perf_counter() - started


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BLOCK_LIMIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done in {BLOCK_LIMIT_SECONDS:.0f} s")
        time.sleep(LOOK_AGAIN_SECONDS)


def wait_idle(application: Application, client: Client) -> None:
    """Nothing of the block before is left on the server when the next one begins."""

    def idle() -> bool:
        counted = application.loop_thread.run(client.count_workflows("ExecutionStatus = 'Running'"))
        return counted.count == 0

    wait_until(idle)


def measure(
    stack: LocalStack, application: Application, worker: WorkerProcess, options: argparse.Namespace
) -> dict[str, object]:
    client = application.loop_thread.run(Client.connect(stack.temporal_address))
    control = SimulatorControl(stack.simulator.endpoint, stack.simulator.ca_file)
    pids = {"worker": worker.pid, **{name: server.pid for name, server in stack.servers.items()}}
    taken: dict[str, list[float]] = {"rows": [], "bare": []}
    used: dict[str, ProcessorTime | None] = {"rows": None, "bare": None}
    with MongoClient[dict[str, object]](stack.mongodb_uri) as mongodb:
        rows = mongodb[application.settings.mongodb.database]["push_notifications"]
        kinds: dict[str, Callable[[int], float]] = {
            "rows": lambda count: time_rows(application, rows, count),
            "bare": lambda count: time_bare(application, client, count),
        }
        application.loop_thread.run(all_of(options.rows, register))
        for name, run in kinds.items():
            tell(f"warming up {name}: {options.warm_up}")
            run(options.warm_up)
            wait_idle(application, client)
        for block in range(options.blocks):
            for name, run in kinds.items():
                before = ProcessorTime.of(pids)
                taken[name].append(run(options.rows))
                wait_idle(application, client)
                used[name] = ProcessorTime.of(pids).since(before).plus(used[name])
                tell(f"block {block + 1}, {name}: {options.rows / taken[name][-1]:.1f}/s")
    accepted = control.stats()["accepted"]
    assert accepted == options.warm_up + options.blocks * options.rows, f"{accepted} messages accepted"
    rates = {name: [options.rows / seconds for seconds in each] for name, each in taken.items()}
    rows_per_s, bare_per_s = (statistics.median(rates[name]) for name in ("rows", "bare"))
    total = options.blocks * options.rows
    return {
        "benchmark": "individual",
        "rows_per_s": round(rows_per_s, 1),
        "bare_workflows_per_s": round(bare_per_s, 1),
        "ratio": round(rows_per_s / bare_per_s, 3),
        "blocks_rows_per_s": [round(rate, 1) for rate in rates["rows"]],
        "blocks_bare_per_s": [round(rate, 1) for rate in rates["bare"]],
        "processor_ms_per_row": (used["rows"] or ProcessorTime({})).milliseconds_each(total),
        "processor_ms_per_bare": (used["bare"] or ProcessorTime({})).milliseconds_each(total),
        "rows": options.rows,
        "blocks": options.blocks,
        "warm_up": options.warm_up,
        "devices_per_row": 1,
        "worker_processes": 1,
        "engine": options.engine,
        "provider_latency_ms": 0,
        "cores": os.cpu_count(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--warm-up", type=int, default=100)
    parser.add_argument("--engine", choices=("granian", "h2"), default="granian")
    options = parser.parse_args()
    with bench_stack("individual", options.engine) as stack:
        worker = WorkerProcess(
            Path(stack.folder) / "logs" / "worker.log", module="benchmarks.individual_worker"
        )
        try:
            worker.start()
            application = bootstrap()
            try:
                worker.wait_ready()
                summary = measure(stack, application, worker, options)
            finally:
                application.close()
        finally:
            worker.stop()
    sys.stderr.flush()
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    run_process(main)

"""Measures an immediate send from call to return, against its floor: the provider, and Temporal alone.

`python -m benchmarks.immediate [--calls 500] [--warm-up 100] [--block 50] [--engine granian]`; the last line
is one JSON object. Blocks of the four kinds of calls take turns, all sequential, all from plain code.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from uuid import uuid4

import firebase_admin
from firebase_admin import credentials, messaging
from temporalio.client import Client
from temporalio.worker import Worker

from benchmarks.bare_workflow import QUEUE, BareWorkflow, eager_worker
from benchmarks.bench_room import ProcessorTime, bench_stack, tell
from bootstrap import Application, bootstrap
from demo.serve import run_process
from local_stack.local_stack_service import LocalStack
from modules.application.app_ids import DEFAULT_APP_ID
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Platform, TargetKind
from modules.notification.internals.channels.fcm.fcm_app import FcmApp
from modules.notification.notification_service import NotificationService
from modules.notification.types import SendPushParams, Status

ACCOUNT_ID = "bench-user"
TOKEN = "bench-device"
PARAMS = SendPushParams(
    title="Security Alert",
    body="New login from Chrome on Windows",
    data={"type": "login_alert", "session_id": "abc123"},
)
BODY = json.dumps(
    {
        "message": {
            "token": TOKEN,
            "notification": {"title": PARAMS.title, "body": PARAMS.body},
            "data": dict(PARAMS.data),
        }
    }
).encode()

Call = Callable[[], None]


def send_immediate() -> None:
    NotificationService.send_push_for_account(account_id=ACCOUNT_ID, params=PARAMS, immediate=True)


def provider_call(application: Application, open_resources: ExitStack) -> Call:
    """One request of the service's own transport, and nothing around it: the provider's own latency."""
    settings = application.settings.fcm
    account = settings.all_apps()[DEFAULT_APP_ID]

    async def opened() -> FcmApp:
        return FcmApp(app_id=DEFAULT_APP_ID, app=account, settings=settings, max_concurrent_requests=100)

    loop_thread = application.loop_thread
    app = loop_thread.run(opened())
    open_resources.callback(lambda: loop_thread.run(app.close()))
    loop_thread.run(app.ensure_access())

    def call() -> None:
        answer = loop_thread.run(app.post(BODY))
        assert getattr(answer, "status", None) == 200, answer

    return call


def firebase_admin_call(stack: LocalStack, open_resources: ExitStack) -> Call:
    """firebase-admin's own `send`; its address is hard-coded, so it is patched here, and only here."""
    simulator = stack.simulator
    os.environ["REQUESTS_CA_BUNDLE"] = str(simulator.ca_file)
    messaging._MessagingService.FCM_URL = f"{simulator.endpoint}/v1/projects/{{0}}/messages:send"
    app = firebase_admin.initialize_app(credentials.Certificate(str(simulator.credentials_path)))
    open_resources.callback(firebase_admin.delete_app, app)
    # google-auth asks a Google server about the account, beside the calls; it does not answer here.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        message = messaging.Message(
            token=TOKEN,
            notification=messaging.Notification(title=PARAMS.title, body=PARAMS.body),
            data=dict(PARAMS.data),
        )

    def call() -> None:
        messaging.send(message, app=app)

    return call


def bare_workflow_call(application: Application, open_resources: ExitStack) -> Call:
    """Eager start of a workflow with one local activity that does nothing, and its result."""
    temporal = application.settings.temporal
    loop_thread = application.loop_thread

    async def served() -> tuple[Client, Worker, asyncio.Task[None]]:
        client = await Client.connect(temporal.address, namespace=temporal.namespace)
        worker = eager_worker(client, slots=application.settings.worker.max_concurrent_immediate_deliveries)
        return client, worker, asyncio.create_task(worker.run())

    client, worker, _ = loop_thread.run(served())
    open_resources.callback(lambda: loop_thread.run(worker.shutdown()))

    async def run() -> None:
        handle = await client.start_workflow(
            BareWorkflow.run, "bare", id=f"bare-{uuid4()}", task_queue=QUEUE, request_eager_start=True
        )
        await handle.result()

    return lambda: loop_thread.run(run())


def milliseconds(call: Call, times: int) -> list[float]:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        taken.append((time.perf_counter() - started) * 1000)
    return taken


def percentile(values: list[float], percent: int) -> float:
    """The smallest value that at least `percent` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def measure(stack: LocalStack, application: Application, options: argparse.Namespace) -> dict[str, object]:
    DeviceTokenService.register_device(
        account_id=ACCOUNT_ID, platform=Platform.ANDROID, kind=TargetKind.TOKEN, address=TOKEN
    )
    taken: dict[str, list[float]] = {"provider": [], "immediate": [], "firebase_admin": [], "bare": []}
    pids = {"this_process": os.getpid(), **{name: server.pid for name, server in stack.servers.items()}}
    used: dict[str, ProcessorTime | None] = dict.fromkeys(taken)
    with ExitStack() as open_resources:
        calls: dict[str, Call] = {
            "provider": provider_call(application, open_resources),
            "immediate": send_immediate,
            "firebase_admin": firebase_admin_call(stack, open_resources),
            "bare": bare_workflow_call(application, open_resources),
        }
        for name, call in calls.items():
            tell(f"warming up {name}: {options.warm_up} calls")
            milliseconds(call, options.warm_up)
        for first in range(0, options.calls, options.block):
            size = min(options.block, options.calls - first)
            for name, call in calls.items():
                before = ProcessorTime.of(pids)
                taken[name] += milliseconds(call, size)
                used[name] = ProcessorTime.of(pids).since(before).plus(used[name])
            medians = ", ".join(f"{name} {statistics.median(each):.1f}" for name, each in taken.items())
            tell(f"{first + size} of {options.calls} calls each; medians in ms: {medians}")
    _check_all_sent()
    provider_ms = statistics.median(taken["provider"])
    p50, p99 = (percentile(taken["immediate"], percent) for percent in (50, 99))
    figures = {
        "p50_ms": p50,
        "p99_ms": p99,
        "max_ms": max(taken["immediate"]),
        "provider_ms": provider_ms,
        "p50_over_provider_ms": p50 - provider_ms,
        "p99_over_provider_ms": p99 - provider_ms,
        "firebase_admin_p50_ms": percentile(taken["firebase_admin"], 50),
        "firebase_admin_p99_ms": percentile(taken["firebase_admin"], 99),
        "bare_workflow_p50_ms": percentile(taken["bare"], 50),
        "bare_workflow_p99_ms": percentile(taken["bare"], 99),
    }
    return {
        "benchmark": "immediate",
        **{name: round(value, 2) for name, value in figures.items()},
        "processor_ms_per_call": {
            name: (used[name] or ProcessorTime({})).milliseconds_each(options.calls)
            for name in ("immediate", "bare")
        },
        "calls": options.calls,
        "warm_up": options.warm_up,
        "block": options.block,
        "engine": options.engine,
        "provider_latency_ms": 0,
        "cores": os.cpu_count(),
    }


def _check_all_sent() -> None:
    newest = NotificationService.list_push_notifications(account_id=ACCOUNT_ID, limit=500)
    unsent = [each.id for each in newest if each.status is not Status.SENT]
    assert not unsent, f"not sent: {unsent}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--warm-up", type=int, default=100)
    parser.add_argument("--block", type=int, default=50)
    parser.add_argument("--engine", choices=("granian", "h2"), default="granian")
    options = parser.parse_args()
    with bench_stack("immediate", options.engine) as stack:
        application = bootstrap()
        try:
            summary = measure(stack, application, options)
        finally:
            application.close()
    sys.stderr.flush()
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    run_process(main)

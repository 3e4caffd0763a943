"""Serving a plan on the real Temporal: all lanes or none, its schedules, what ends by itself."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client

from modules.application.internals.lasting_server import LastingServer
from modules.application.internals.temporal_diagnosis import TemporalUnavailableError
from modules.application.internals.temporal_gateway import ConnectedHook, TemporalGateway
from modules.application.internals.worker_runtime import WorkerRuntime
from modules.application.internals.worker_server import WorkerServer
from modules.application.worker import CronSchedule, Lane, WorkerPlan
from modules.config.config_service import ConfigService
from modules.config.types import TemporalSettings
from modules.notification.types import Status
from modules.notification.workers.push_notification_worker import PushNotificationWorker
from modules.notification.workers.push_notifications_worker import PushNotificationsWorker
from temporal_config import SEARCH_ATTRIBUTES, WORKERS
from tests.support.process_logs import capture_logs
from tests.support.workflow_runs import ScriptedDelivery, delete_schedules, make_worker_params

WORKER_TASKS = {"worker-immediate", "worker-normal"}


def settings(address: str, **variables: str) -> TemporalSettings:
    prefix = f"test-{uuid4().hex[:12]}"
    environment = {"APP_ENV": "test", "TEMPORAL_ADDRESS": address, "TEMPORAL_TASK_QUEUE_PREFIX": prefix}
    return ConfigService.load({**environment, **variables}).temporal


def make_runtime(wanted: TemporalSettings) -> WorkerRuntime:
    return WorkerRuntime(TemporalGateway(wanted, search_attributes=SEARCH_ATTRIBUTES), wanted)


def make_plan(**over: Any) -> WorkerPlan:
    plan = WorkerPlan(
        workers=WORKERS,
        activities=[ScriptedDelivery([Status.SENT]).deliver],
        schedules=(),
        slots={Lane.IMMEDIATE: 5},
        grace_seconds=1,
        local_only=True,
        lasting=False,
    )
    return replace(plan, **over)


def worker_tasks() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name() in WORKER_TASKS]


def connecting() -> bool:
    return "connect-temporal" in {task.get_name() for task in asyncio.all_tasks()}


@pytest.fixture
async def runtime(temporal_address: str) -> AsyncIterator[WorkerRuntime]:
    made = make_runtime(settings(temporal_address))
    yield made
    await made.stop(5)


async def test_a_lane_that_cannot_be_served_leaves_none_running(temporal_address: str) -> None:
    client = await Client.connect(temporal_address)
    # Temporal's SDK refuses a second worker of one client on one task queue.
    queue = f"test-{uuid4().hex[:12]}"
    server = WorkerServer(make_plan(slots={Lane.IMMEDIATE: 5, Lane.NORMAL: 5}), lambda _: queue)
    with pytest.raises(RuntimeError):
        await server.start(client)
    assert worker_tasks() == []
    await server.stop()


async def test_a_caller_without_a_connection_waits_as_long_as_it_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as never_accepting:
        address = f"127.0.0.1:{never_accepting.getsockname()[1]}"
        runtime = make_runtime(settings(address, TEMPORAL_CONNECT_TIMEOUT_SECONDS="60"))
        began = time.monotonic()
        with pytest.raises(TemporalUnavailableError):
            await runtime.run_immediately(
                PushNotificationWorker, make_worker_params(), outcome=None, wait_seconds=0.2
            )
        assert time.monotonic() - began < 10
        assert connecting(), "for the next caller"
        await runtime.stop(1)
        assert not connecting()


async def test_a_caller_creates_a_schedule_and_leaves_one_that_is_there_alone(
    temporal_address: str,
) -> None:
    wanted = settings(temporal_address)
    client = await Client.connect(temporal_address)
    schedule = client.get_schedule_handle(f"{wanted.task_queue_prefix}-push-notifications")
    minutes = []
    for minute, update in ((5, False), (7, False), (9, True), (11, False)):
        crons = [CronSchedule(PushNotificationsWorker, f"{minute} * * * *", update=update)]
        runtime = make_runtime(wanted)
        await runtime.serve(make_plan(schedules=crons))
        await runtime.stop(5)
        calendars = (await schedule.describe()).schedule.spec.calendars
        minutes.append([each.start for calendar in calendars for each in calendar.minute])
    await delete_schedules(client, wanted.task_queue_prefix)
    assert minutes == [[5], [5], [9], [9]]


async def test_a_lasting_plan_is_served_again_after_its_worker_died(runtime: WorkerRuntime) -> None:
    await runtime.serve(make_plan(lasting=True))
    await runtime.wait_polling()
    with capture_logs() as logs:
        for died in range(1, 3):
            [task] = worker_tasks()
            task.cancel()
            await asyncio.wait({task})
            report = await runtime.run_immediately(
                PushNotificationWorker, make_worker_params(), outcome=None, wait_seconds=60
            )
            assert report is not None, "somebody serves the lane"
            assert [each["action"] for each in logs].count("worker.ended") == died


async def unusable(address: str) -> Client:
    """A connection whose workers end before they poll: the namespace does not exist."""
    return await Client.connect(address, namespace="no-such-namespace")


async def test_the_end_of_a_plan_that_is_not_lasting_is_told(temporal_address: str) -> None:
    client = await unusable(temporal_address)
    server = WorkerServer(make_plan(), lambda lane: lane.value)
    await server.start(client)
    with pytest.raises(RuntimeError):
        await asyncio.wait_for(server.wait(), 60)
    await asyncio.wait_for(server.stop(), 10)


async def test_a_lasting_plan_tries_again_where_nothing_was_ever_polled(temporal_address: str) -> None:
    """A client keeps the task queue of a worker that never ran: each try needs a connection of its own."""
    renewed: asyncio.Queue[None] = asyncio.Queue()

    async def renew(hook: ConnectedHook) -> None:
        await hook(await unusable(temporal_address))
        renewed.put_nowait(None)

    server = LastingServer(make_plan(), lambda lane: lane.value, renew=renew, first_pause_seconds=0.01)
    await server.start(await unusable(temporal_address))
    async with asyncio.timeout(60):
        for _ in range(2):
            await renewed.get()
    await asyncio.wait_for(server.stop(), 10)

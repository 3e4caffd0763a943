"""Worker classes on the real Temporal server with activities that a test scripts by their names."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from bson import ObjectId
from temporalio import activity
from temporalio.client import Client, WorkflowHandle, WorkflowHistory
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from modules.application.internals.temporal_gateway import TemporalGateway
from modules.application.internals.worker_runtime import WorkerRuntime
from modules.application.internals.worker_server import HEARTBEAT_INTERVAL
from modules.application.worker import Lane, WorkerPlan
from modules.config.config_service import ConfigService
from modules.config.types import TemporalSettings
from modules.notification.types import RESTART_ACTIVITY, DeliveryReport, PushNotificationWorkerParams, Status
from modules.notification.workers.params import DeliverParams, DueCursor, DuePage, ScanParams
from modules.notification.workers.push_notification_worker import DELIVER_ACTIVITY
from modules.notification.workers.push_notifications_worker import (
    EXPIRE_ACTIVITY,
    START_ACTIVITY,
)
from temporal_config import SEARCH_ATTRIBUTES, WORKERS

RETRY_IN_SECONDS = 0.05


def make_worker_params(**over: str) -> PushNotificationWorkerParams:
    wanted = {"notification_id": str(ObjectId()), "account_id": "account-1", "priority": "immediate"}
    return PushNotificationWorkerParams(**{**wanted, **over})


@dataclass
class ScriptedDelivery:
    """Answers each round with the next status of the script; all but final ones are to be retried."""

    script: Sequence[Status]
    rounds: list[list[str]] = field(default_factory=list)

    @activity.defn(name=DELIVER_ACTIVITY)
    async def deliver(self, params: DeliverParams) -> list[DeliveryReport]:
        self.rounds.append(params.notification_ids)
        status = self.script[min(len(self.rounds), len(self.script)) - 1]
        retry = RETRY_IN_SECONDS if status in (Status.PENDING, Status.PROCESSING) else None
        return [
            DeliveryReport(
                notification_id=each, status=status, note="scripted", accepted=1, retry_in_seconds=retry
            )
            for each in params.notification_ids
        ]


@dataclass
class ScriptedScan:
    """A backlog of `due` rows that is read in pages, as the real activity pages; `batched`: by batches."""

    due: int
    page_size: int = 500
    batched: bool = False
    campaigns: int = 0
    cursors: list[DueCursor | None] = field(default_factory=list)
    expiries: int = 0
    restarts: int = 0

    def all(self) -> list[Callable[..., Any]]:
        return [self.expire, self.restart_campaigns, self.start_page]

    @activity.defn(name=EXPIRE_ACTIVITY)
    async def expire(self) -> int:
        self.expiries += 1
        return 7

    @activity.defn(name=RESTART_ACTIVITY)
    async def restart_campaigns(self) -> int:
        self.restarts += 1
        return self.campaigns

    @activity.defn(name=START_ACTIVITY)
    async def start_page(self, params: ScanParams) -> DuePage:
        self.cursors.append(params.cursor)
        seen = 0 if params.cursor is None else int(params.cursor.notification_id)
        found = min(self.page_size, self.due - seen)
        last = found < self.page_size
        moment = "2026-05-01T12:00:00+00:00"
        key = str(seen + found)
        cursor = DueCursor(due_at=moment, notification_id=key, until=moment, batched=self.batched)
        return DuePage(
            started=0 if self.batched else found,
            batches=int(self.batched),
            reclaimed=0,
            already_running=0,
            cursor=None if last else cursor,
        )


class WorkflowRuns:
    """Starts runs as production does, on task queues of this test's own."""

    def __init__(self, client: Client, runtime: WorkerRuntime) -> None:
        self.client = client
        self.runtime = runtime

    @asynccontextmanager
    async def serving(
        self, *activities: Callable[..., Any], lane: Lane = Lane.IMMEDIATE, sandboxed: bool = True
    ) -> AsyncIterator[None]:
        """Serve a lane with these activities; `sandboxed` False lets constants be patched.

        The bulk lane has the master's beside it, where campaigns have everything done but their slices.
        """
        lanes = (Lane.BULK, Lane.MASTER) if lane is Lane.BULK else (lane,)
        async with AsyncExitStack() as serving:
            for each in lanes:
                worker = Worker(
                    self.client,
                    task_queue=self.runtime.task_queue(each),
                    workflows=WORKERS,
                    activities=activities,
                    max_heartbeat_throttle_interval=HEARTBEAT_INTERVAL,
                    workflow_runner=SandboxedWorkflowRunner() if sandboxed else UnsandboxedWorkflowRunner(),
                )
                await serving.enter_async_context(worker)
            yield

    async def start(self, cls: type[Any], params: Any) -> WorkflowHandle[Any, Any]:
        assert await self.runtime.start(cls, params)
        return self.client.get_workflow_handle_for(cls.run, cls.describe(params).workflow_id)


def _settings(temporal_address: str) -> TemporalSettings:
    return ConfigService.load(
        {
            "APP_ENV": "test",
            "TEMPORAL_ADDRESS": temporal_address,
            "TEMPORAL_TASK_QUEUE_PREFIX": f"test-{uuid4().hex[:12]}",
        }
    ).temporal


@asynccontextmanager
async def serving_runtime(
    temporal_address: str, *activities: Callable[..., Any]
) -> AsyncIterator[WorkerRuntime]:
    """What a caller has: it starts runs, and serves the immediate lane with these activities."""
    settings = _settings(temporal_address)
    runtime = WorkerRuntime(TemporalGateway(settings, search_attributes=SEARCH_ATTRIBUTES), settings)
    plan = WorkerPlan(
        workers=WORKERS,
        activities=activities,
        schedules=(),
        slots={Lane.IMMEDIATE: 5},
        grace_seconds=5,
        local_only=True,
        lasting=False,
    )
    await runtime.serve(plan)
    try:
        yield runtime
    finally:
        await runtime.stop(5)


@asynccontextmanager
async def workflow_runs(temporal_address: str) -> AsyncIterator[WorkflowRuns]:
    """Runs on a prefix of their own; the schedules made are deleted afterwards."""
    settings = _settings(temporal_address)
    gateway = TemporalGateway(settings, search_attributes=SEARCH_ATTRIBUTES)
    client = await gateway.client()
    yield WorkflowRuns(client, WorkerRuntime(gateway, settings))
    await delete_schedules(client, settings.task_queue_prefix)


async def delete_schedules(client: Client, prefix: str) -> None:
    async for schedule in await client.list_schedules():
        if schedule.id.startswith(f"{prefix}-"):
            await client.get_schedule_handle(schedule.id).delete()


def readable(history: WorkflowHistory) -> str:
    """The whole history as text, with every payload decoded: what an operator can read in the Web UI."""
    return json.dumps(_decoded(json.loads(history.to_json())), ensure_ascii=False)


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _text(key, item) if isinstance(item, str) else _decoded(item) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return value


def _text(key: str, text: str) -> str:
    if key not in ("data", "coreMetadata") and not text.endswith("="):
        return text
    try:
        return text + " " + b64decode(text, validate=True).decode(errors="replace")
    except ValueError:
        return text


def event_types(history: WorkflowHistory) -> list[str]:
    """The names of the events without their common prefix."""
    from temporalio.api.enums.v1 import EventType

    names = [EventType.Name(event.event_type) for event in history.events]
    return [name.removeprefix("EVENT_TYPE_") for name in names]


async def whole_chain(client: Client, workflow_id: str, first_run_id: str) -> list[WorkflowHistory]:
    """The histories of a run and of all it continued as."""
    histories, run_id = [], first_run_id
    while run_id:
        history = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        histories.append(replace(history))
        last = history.events[-1]
        run_id = last.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    return histories

"""The least that one workflow a notification can cost: one local activity that does nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

QUEUE = "bench-bare"
STARTER_QUEUE = "bench-bare-starter"
# As the service starts and serves its own workers.
CONCURRENT_STARTS = 32
CACHED_WORKFLOWS = 2_000
ACTIVITY_TIMEOUT = timedelta(minutes=10)
STARTER_TIMEOUT = timedelta(minutes=10)


@activity.defn(name="bare_nothing")
async def nothing(_: str) -> str:
    return "done"


@workflow.defn(name="BareWorkflow")
class BareWorkflow:
    """One local activity, and the end."""

    @workflow.run
    async def run(self, name: str) -> str:
        done: str = await workflow.execute_local_activity(
            "bare_nothing", name, result_type=str, start_to_close_timeout=ACTIVITY_TIMEOUT
        )
        return done


@dataclass(frozen=True, slots=True, kw_only=True)
class StartParams:
    """How many bare workflows to run, under ids that begin with `prefix`."""

    prefix: str
    count: int


@workflow.defn(name="BareStarter")
class BareStarter:
    """Starts bare workflows from one activity, as the master worker does with a page of rows."""

    @workflow.run
    async def run(self, params: StartParams) -> int:
        started: int = await workflow.execute_activity(
            "bare_start_all", params, result_type=int, start_to_close_timeout=STARTER_TIMEOUT
        )
        return started


class BareActivities:
    """Counts what was done, so that the starter ends when the last local activity has."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._done = 0
        self._changed = asyncio.Condition()

    @activity.defn(name="bare_nothing")
    async def nothing(self, _: str) -> str:
        async with self._changed:
            self._done += 1
            self._changed.notify_all()
        return "done"

    @activity.defn(name="bare_start_all")
    async def start_all(self, params: StartParams) -> int:
        free = asyncio.Semaphore(CONCURRENT_STARTS)
        wanted = self._done + params.count

        async def start(name: str) -> None:
            async with free:
                await self._client.start_workflow(BareWorkflow.run, name, id=name, task_queue=QUEUE)

        await asyncio.gather(*(start(f"{params.prefix}-{number}") for number in range(params.count)))
        async with self._changed:
            await self._changed.wait_for(lambda: self._done >= wanted)
        return params.count


def eager_worker(client: Client, *, slots: int) -> Worker:
    """Serves bare workflows that this process starts eagerly."""
    return Worker(
        client,
        task_queue=QUEUE,
        workflows=[BareWorkflow],
        activities=[nothing],
        max_cached_workflows=CACHED_WORKFLOWS,
        max_concurrent_workflow_tasks=slots,
        max_concurrent_local_activities=slots,
        no_remote_activities=True,
    )


def queued_workers(client: Client, *, slots: int) -> list[Worker]:
    """Serve bare workflows and their starter, as a worker process serves its lanes."""
    activities = BareActivities(client)
    return [
        Worker(
            client,
            task_queue=QUEUE,
            workflows=[BareWorkflow],
            activities=[activities.nothing],
            max_cached_workflows=CACHED_WORKFLOWS,
            max_concurrent_workflow_tasks=slots,
            max_concurrent_local_activities=slots,
            max_concurrent_activities=slots,
        ),
        Worker(client, task_queue=STARTER_QUEUE, workflows=[BareStarter], activities=[activities.start_all]),
    ]

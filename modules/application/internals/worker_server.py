"""Serves worker classes from this process: one Temporal worker a lane, each with slots of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import cast

from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from modules.application.daemon_executor import DaemonExecutor
from modules.application.worker import Lane, WorkerClass, WorkerPlan

MAX_CACHED_WORKFLOWS = 2_000
# With one the sticky queue's poll keeps the other waiting (temporalio.worker.Worker: "at least two").
LEAST_WORKFLOW_TASKS = 2
START_POLL_SECONDS = 0.01
# An activity is told of its cancellation by the answer to a heartbeat: a paused campaign stops within this.
HEARTBEAT_INTERVAL = timedelta(seconds=2)


class WorkerServer:
    """Temporal workers for some lanes; `stop` lets what runs finish within the grace period."""

    def __init__(self, plan: WorkerPlan, task_queue: Callable[[Lane], str]) -> None:
        self._plan = plan
        self._task_queue = task_queue
        self._running: dict[Worker, asyncio.Task[None]] = {}
        self._executors: list[DaemonExecutor] = []

    async def start(self, client: Client) -> None:
        """Begin to serve every lane of the plan, or none: raises what keeps a lane from being served.

        A client that this failed on, or whose workers ended before they polled, cannot be used again.
        """
        # The SDK keeps a task queue reserved for a worker that was made and never ran (temporalio 1.35).
        workers = {lane: self._worker(client, lane) for lane in self._plan.slots}
        for lane, worker in workers.items():
            self._running[worker] = asyncio.create_task(worker.run(), name=f"worker-{lane.value}")

    def _worker(self, client: Client, lane: Lane) -> Worker:
        slots = self._plan.slots[lane]
        workflow_tasks = max(LEAST_WORKFLOW_TASKS, min(slots, MAX_CACHED_WORKFLOWS))
        # The SDK's own pool refuses work once the main thread has ended: no worker could be stopped then.
        executor = DaemonExecutor(workflow_tasks, name=f"workflows-{lane.value}")
        self._executors.append(executor)
        return Worker(
            client,
            task_queue=self._task_queue(lane),
            workflows=list(self._plan.workers),
            activities=list(self._plan.activities),
            max_cached_workflows=MAX_CACHED_WORKFLOWS,
            workflow_runner=workflow_runner(self._plan.workers),
            max_concurrent_workflow_tasks=workflow_tasks,
            # The SDK asks no more of it than an Executor has (temporalio 1.35, worker/_workflow.py).
            workflow_task_executor=cast("ThreadPoolExecutor", executor),
            max_concurrent_local_activities=slots,
            max_concurrent_activities=slots,
            no_remote_activities=self._plan.local_only,
            max_heartbeat_throttle_interval=HEARTBEAT_INTERVAL,
            graceful_shutdown_timeout=timedelta(seconds=self._plan.grace_seconds),
        )

    async def wait_polling(self) -> None:
        """Return when every lane is polled, or one has ended instead."""
        # The SDK checks the namespace first and offers nothing to await for the end of that.
        while not all(worker.is_running for worker in self._running):
            if any(task.done() for task in self._running.values()):
                return
            await asyncio.sleep(START_POLL_SECONDS)

    async def wait(self) -> None:
        """Return when a worker has ended; raises what ended it, which is never normal before `stop`."""
        if self._running:
            (await self._first_ended()).result()

    async def _first_ended(self) -> asyncio.Task[None]:
        running = self._running.values()
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        return next(iter(done))

    async def stop(self) -> None:
        """Stop polling, wait for what runs, end. Safe to call twice, and again after it was cancelled."""
        await asyncio.gather(*(_shut_down(worker, task) for worker, task in self._running.items()))
        self._running = {}
        for executor in self._executors:
            executor.shutdown(wait=False)
        self._executors = []


def workflow_runner(workers: Collection[WorkerClass]) -> SandboxedWorkflowRunner:
    """The SDK's sandbox, which takes the whole package that the workers are in as this process has it.

    Imported anew for each run, as the SDK does, a worker's file costs more than all that it then does. What
    it must not do is tested with that import, and its text is searched for it.
    """
    packages = {worker.__module__.partition(".")[0] for worker in workers}
    return SandboxedWorkflowRunner(SandboxRestrictions.default.with_passthrough_modules(*packages))


async def _shut_down(worker: Worker, running: asyncio.Task[None]) -> None:
    # The SDK's shutdown never returns for a worker whose run was cancelled while it shut down.
    asked = asyncio.create_task(worker.shutdown())
    try:
        await asyncio.wait({running})
    finally:
        asked.cancel()
    if not running.cancelled():
        running.exception()

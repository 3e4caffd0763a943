"""Serves worker classes from this process: one Temporal worker a lane, each with slots of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Worker

from modules.application.worker import Lane, WorkerPlan

MAX_CACHED_WORKFLOWS = 2_000
START_POLL_SECONDS = 0.01


class WorkerServer:
    """Temporal workers for some lanes; `stop` lets what runs finish within the grace period."""

    def __init__(self, plan: WorkerPlan, task_queue: Callable[[Lane], str]) -> None:
        self._plan = plan
        self._task_queue = task_queue
        self._running: list[asyncio.Task[None]] = []
        self._workers: list[Worker] = []

    async def start(self, client: Client) -> None:
        """Begin to serve every lane of the plan."""
        for lane in self._plan.slots:
            worker = self._worker(client, lane)
            self._workers.append(worker)
            self._running.append(asyncio.create_task(worker.run(), name=f"worker-{lane.value}"))

    def _worker(self, client: Client, lane: Lane) -> Worker:
        slots = self._plan.slots[lane]
        return Worker(
            client,
            task_queue=self._task_queue(lane),
            workflows=list(self._plan.workers),
            activities=list(self._plan.activities),
            max_cached_workflows=MAX_CACHED_WORKFLOWS,
            max_concurrent_workflow_tasks=min(slots, MAX_CACHED_WORKFLOWS),
            max_concurrent_local_activities=slots,
            max_concurrent_activities=slots,
            no_remote_activities=self._plan.local_only,
            graceful_shutdown_timeout=timedelta(seconds=self._plan.grace_seconds),
        )

    async def wait_polling(self) -> None:
        """Return when every lane is polled, or one has ended instead."""
        # The SDK checks the namespace first and offers nothing to await for the end of that.
        while not all(worker.is_running for worker in self._workers):
            if any(task.done() for task in self._running):
                return
            await asyncio.sleep(START_POLL_SECONDS)

    async def wait(self) -> None:
        """Return when a worker has ended; raises what ended it, which is never normal before `stop`."""
        if self._running:
            done, _ = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()

    async def stop(self) -> None:
        """Stop polling, wait for what runs, end. Safe to call twice."""
        workers, self._workers = self._workers, []
        await asyncio.gather(*(worker.shutdown() for worker in workers), return_exceptions=True)
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running = []

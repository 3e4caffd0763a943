"""Asks a Temporal server what the tests want to know; plain and synchronous."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from temporalio.api.enums.v1 import EventType, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from modules.application.event_loop_thread import EventLoopThread

_STARTED = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED


class TemporalProbe:
    """One connection of the test's own, on a loop of its own."""

    def __init__(self, address: str) -> None:
        self._loop = EventLoopThread("temporal-probe")
        self._client = self._loop.run(Client.connect(address))

    @classmethod
    @contextmanager
    def opened(cls, address: str) -> Iterator[Self]:
        probe = cls(address)
        try:
            yield probe
        finally:
            probe._loop.stop()

    def is_polled_by(self, pid: int, task_queues: Iterable[str]) -> bool:
        """Whether the process polls all of these task queues for workflow tasks."""
        return all(pid in self._loop.run(self._pollers(name)) for name in task_queues)

    def was_taken_by(self, pid: int, workflow_id: str) -> bool:
        """Whether the process was handed a workflow task of this workflow."""
        return self._loop.run(self._was_taken(pid, workflow_id))

    def is_completed(self, workflow_id: str) -> bool:
        return self._loop.run(self._status(workflow_id)) is WorkflowExecutionStatus.COMPLETED

    def story(self, workflow_id: str) -> str:
        """The workflow's latest run in one line: its events, their times and who took its tasks."""
        return self._loop.run(self._story(workflow_id))

    def run_lengths(self, workflow_id: str) -> list[int]:
        """How many events each run under this id has; one that continued as new is a run of its own."""
        return self._loop.run(self._run_lengths(workflow_id))

    def result(self, workflow_id: str) -> Any:
        """What the newest run under this id returned; it has to be completed."""
        return self._loop.run(self._result(workflow_id))

    def executions(self, task_queue: str) -> int:
        """How many runs this task queue has seen."""
        return self._loop.run(self._count(task_queue))

    def activity_inputs(self, task_queue: str, activity: str) -> list[Any]:
        """What an activity was given, each time it was scheduled in the newest run of this task queue."""
        return self._loop.run(self._activity_inputs(task_queue, activity))

    def histories(self, task_queues: Iterable[str], limit: int) -> list[str]:
        """The newest histories of these task queues, each as JSON with its payloads decoded."""
        return self._loop.run(self._histories(list(task_queues), limit))

    def delete_schedule(self, schedule_id: str) -> None:
        self._loop.run(self._delete_schedule(schedule_id))

    async def _pollers(self, task_queue: str) -> set[int]:
        answer = await self._client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=self._client.namespace,
                task_queue=TaskQueue(name=task_queue),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
            )
        )
        return {int(poller.identity.partition("@")[0]) for poller in answer.pollers}

    async def _was_taken(self, pid: int, workflow_id: str) -> bool:
        try:
            history = await self._client.get_workflow_handle(workflow_id).fetch_history()
        except RPCError:
            return False
        return any(
            event.workflow_task_started_event_attributes.identity.startswith(f"{pid}@")
            for event in history.events
            if event.event_type == _STARTED
        )

    async def _status(self, workflow_id: str) -> WorkflowExecutionStatus | None:
        return (await self._client.get_workflow_handle(workflow_id).describe()).status

    async def _story(self, workflow_id: str) -> str:
        try:
            history = await self._client.get_workflow_handle(workflow_id).fetch_history()
        except RPCError as error:
            return f"{workflow_id}: {error.status.name}"
        events = (
            f"{event.event_time.ToDatetime().time()} {EventType.Name(event.event_type)[11:]}"
            f" {event.workflow_task_started_event_attributes.identity}".rstrip()
            for event in history.events
        )
        return f"{workflow_id}: {'; '.join(events)}"

    async def _run_lengths(self, workflow_id: str) -> list[int]:
        lengths = []
        async for execution in self._client.list_workflows(f"WorkflowId = '{workflow_id}'"):
            handle = self._client.get_workflow_handle(execution.id, run_id=execution.run_id)
            lengths.append(len((await handle.fetch_history()).events))
        return lengths

    async def _result(self, workflow_id: str) -> Any:
        return await self._client.get_workflow_handle(workflow_id).result()

    async def _count(self, task_queue: str) -> int:
        return (await self._client.count_workflows(f"TaskQueue = '{task_queue}'")).count

    async def _activity_inputs(self, task_queue: str, activity: str) -> list[Any]:
        inputs = []
        async for execution in self._client.list_workflows(f"TaskQueue = '{task_queue}'", limit=1):
            history = await self._client.get_workflow_handle(
                execution.id, run_id=execution.run_id
            ).fetch_history()
            for event in history.events:
                scheduled = event.activity_task_scheduled_event_attributes
                if scheduled.activity_type.name == activity:
                    inputs.append(json.loads(scheduled.input.payloads[0].data))
        return inputs

    async def _histories(self, task_queues: list[str], limit: int) -> list[str]:
        found = []
        for name in task_queues:
            async for execution in self._client.list_workflows(f"TaskQueue = '{name}'", limit=limit):
                handle = self._client.get_workflow_handle(execution.id, run_id=execution.run_id)
                found.append(_readable(await handle.fetch_history()))
        return found

    async def _delete_schedule(self, schedule_id: str) -> None:
        try:
            await self._client.get_schedule_handle(schedule_id).delete()
        except RPCError:
            return


def _readable(history: object) -> str:
    # str() of a protobuf shows payload bytes as text, which to_json() would hide in base64.
    return json.dumps([str(event) for event in getattr(history, "events", [])])

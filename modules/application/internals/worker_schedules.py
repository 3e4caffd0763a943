"""Keeps the schedules of worker classes in Temporal, and runs one of them now."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta
from typing import Any

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleHandle,
    ScheduleInfo,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.service import RPCError, RPCStatusCode

from modules.application.errors import UnavailableError
from modules.application.internals.temporal_diagnosis import TemporalUnavailableError, schedule_failure
from modules.application.internals.temporal_gateway import TemporalGateway
from modules.application.worker import CronSchedule, Lane, ScheduleState, WorkerClass
from modules.config.types import TemporalSettings
from modules.logger.logger_service import get_logger

POLL_SECONDS = 0.1
START_SECONDS = 30.0
# A worker that starts must not end because Temporal is busy for once, as with others that start.
KEEP_TRIES = 3
RETRY_SECONDS = 0.5
_log = get_logger()


class ScheduledRunError(UnavailableError):
    """A scheduled run gave no result."""

    def __init__(self, reason: str) -> None:
        super().__init__(code="scheduled_run_failed", reason=reason)


class WorkerSchedules:
    """Lives on one event loop. Methods raise TemporalUnavailableError when Temporal cannot be reached."""

    def __init__(
        self, gateway: TemporalGateway, settings: TemporalSettings, *, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        self._gateway = gateway
        self._settings = settings
        self._retry_seconds = retry_seconds

    async def schedule_as_cron(self, cls: WorkerClass, cron_schedule: str) -> str:
        """Create the schedule of a worker class or bring it up to date; returns its id. No run overlaps."""
        client = await self._gateway.client()
        return await self.ensure(client, CronSchedule(cls, cron_schedule, update=True))

    async def ensure(self, client: Client, wanted: CronSchedule) -> str:
        """Create the schedule where there is none; change one that is there only if `wanted` says so."""
        schedule_id = self._schedule_id(wanted.worker)
        schedule = self._schedule(wanted)
        timeout = timedelta(seconds=self._settings.connect_timeout_seconds)

        def replaced(current: ScheduleUpdateInput) -> ScheduleUpdate:
            # An operator's pause outlives every start of a worker.
            kept = dataclasses.replace(schedule, state=current.description.schedule.state)
            return ScheduleUpdate(schedule=kept)

        async def create_or_update() -> None:
            try:
                await client.create_schedule(schedule_id, schedule, rpc_timeout=timeout)
            except ScheduleAlreadyRunningError:
                if wanted.update:
                    await client.get_schedule_handle(schedule_id).update(replaced, rpc_timeout=timeout)

        tries_left = KEEP_TRIES
        while True:
            try:
                await create_or_update()
            except RPCError as error:
                failure, tries_left = schedule_failure(error, self._settings), tries_left - 1
                if tries_left == 0 or not isinstance(failure, UnavailableError):
                    raise failure from error
                _log.warning("schedule not kept yet", action="schedule.retried", status=error.status.name)
            else:
                return schedule_id
            await asyncio.sleep(self._retry_seconds)

    def _schedule(self, wanted: CronSchedule) -> Schedule:
        cls = wanted.worker
        start = cls.describe(cls.default_params())
        return Schedule(
            action=ScheduleActionStartWorkflow(
                cls.run,
                cls.default_params(),
                # Environments may share a namespace, and their schedules tick at the same moment.
                id=self._schedule_id(cls),
                task_queue=task_queue(self._settings, start.lane),
                run_timeout=timedelta_of(start.run_timeout_seconds),
                task_timeout=timedelta(seconds=self._settings.workflow_task_timeout_seconds),
                static_summary=start.summary,
                static_details=start.details,
                memo=start.memo,
            ),
            spec=ScheduleSpec(cron_expressions=[wanted.cron]),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)),
        )

    async def run_now(self, cls: WorkerClass, *, wait_seconds: float) -> Any:
        """Trigger the schedule of a worker class and wait for that run; returns its result.

        A run under way is waited for first, since runs never overlap. Raises ScheduledRunError when the run
        failed or has not ended in time.
        """
        client = await self._gateway.client()
        schedule = client.get_schedule_handle(self._schedule_id(cls))
        try:
            description = await schedule.describe()
            for running in description.info.running_actions:
                await _ended(_action_handle(client, cls, running), wait_seconds)
            seen = {_run_of(each) for each in _actions(description.info)}
            await schedule.trigger(overlap=ScheduleOverlapPolicy.BUFFER_ONE)
            async with asyncio.timeout(START_SECONDS):
                started = await self._new_action(schedule, seen)
            return await _ended(_action_handle(client, cls, started), wait_seconds)
        except TimeoutError:
            raise TemporalUnavailableError("the schedule did not start its run") from None
        except RPCError as error:
            raise TemporalUnavailableError("the schedule could not be triggered") from error

    async def _new_action(self, schedule: ScheduleHandle, seen: set[str]) -> Any:
        while True:
            for action in _actions((await schedule.describe()).info):
                if _run_of(action) not in seen:
                    return action
            await asyncio.sleep(POLL_SECONDS)

    async def state(self, cls: WorkerClass) -> ScheduleState | None:
        """What became of the schedule of a worker class; None when there is none."""
        client = await self._gateway.client()
        timeout = timedelta(seconds=self._settings.connect_timeout_seconds)
        try:
            description = await client.get_schedule_handle(self._schedule_id(cls)).describe(
                rpc_timeout=timeout
            )
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise TemporalUnavailableError("the schedule could not be read") from error
        next_runs = description.info.next_action_times
        return ScheduleState(
            paused=description.schedule.state.paused, next_run_at=next_runs[0] if next_runs else None
        )

    def _schedule_id(self, cls: WorkerClass) -> str:
        return f"{self._settings.task_queue_prefix}-{cls.describe(cls.default_params()).workflow_id}"


def task_queue(settings: TemporalSettings, lane: Lane) -> str:
    """The queue that the workers of a lane poll."""
    return f"{settings.task_queue_prefix}-{lane.value}"


def timedelta_of(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


async def _ended(handle: WorkflowHandle[Any, Any], wait_seconds: float) -> Any:
    try:
        return await asyncio.wait_for(handle.result(), wait_seconds)
    except TimeoutError:
        raise ScheduledRunError(
            f"{handle.id} has not ended after {wait_seconds:g} s; is a worker running?"
        ) from None
    except WorkflowFailureError as error:
        raise ScheduledRunError(f"{handle.id} failed; Temporal's Web UI shows why") from error


def _actions(info: ScheduleInfo) -> list[Any]:
    return [*info.running_actions, *(each.action for each in info.recent_actions)]


def _run_of(action: Any) -> str:
    assert isinstance(action, ScheduleActionExecutionStartWorkflow)
    return action.first_execution_run_id


def _action_handle(client: Client, cls: WorkerClass, action: Any) -> WorkflowHandle[Any, Any]:
    assert isinstance(action, ScheduleActionExecutionStartWorkflow)
    return client.get_workflow_handle_for(
        cls.run, action.workflow_id, first_execution_run_id=action.first_execution_run_id
    )

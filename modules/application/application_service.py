"""Runs worker classes: at once, on a schedule, or served by this process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from modules.application.event_loop_thread import EventLoopThread
from modules.application.internals.temporal_gateway import TemporalGateway
from modules.application.internals.worker_runtime import WorkerRuntime
from modules.application.service_facade import ServiceFacade, blocking
from modules.application.worker import RunState, ScheduleState, WorkerClass, WorkerPlan
from modules.config.types import TemporalSettings

DEFAULT_WAIT_SECONDS = 15.0
SCHEDULED_RUN_WAIT_SECONDS = 600.0


class ApplicationService(ServiceFacade[WorkerRuntime]):
    """The door to Temporal. Methods raise UnavailableError "temporal_unavailable" when it is not there."""

    @classmethod
    async def start(
        cls,
        *,
        settings: TemporalSettings,
        loop_thread: EventLoopThread,
        search_attributes: Sequence[str],
        in_forked_process: bool = False,
    ) -> None:
        """Bind the service to the loop; Temporal is opened when it is first needed.

        `in_forked_process`: the SDK's native part may have been used by a parent. Nothing can be served then.
        """
        gateway = TemporalGateway(
            settings, search_attributes=search_attributes, in_forked_process=in_forked_process
        )
        cls.bind(WorkerRuntime(gateway, settings), loop_thread)

    @classmethod
    async def serve_async(cls, *, plan: WorkerPlan) -> None:
        """Serve `plan` from this process as soon as Temporal is connected, which is tried now.

        Raises UnavailableError or ConfigurationError when it cannot be connected; the plan is then served
        once a later call connects it.
        """
        await cls._on_core(lambda core: core.serve(plan))

    @classmethod
    async def wait_polling_async(cls) -> None:
        """Return when what is served is polled, or serving has ended: `wait_served_async` says why."""
        await cls._on_core(lambda core: core.wait_polling())

    @classmethod
    async def wait_served_async(cls) -> None:
        """Return or raise when serving has ended by itself, which is never normal; not for a lasting plan."""
        await cls._on_core(lambda core: core.wait_served(), lasting=True)

    @classmethod
    async def stop(cls, *, grace_seconds: float) -> None:
        """Stop serving: what runs may finish within the grace period."""
        await cls._on_core(lambda core: core.stop(grace_seconds))

    @classmethod
    async def check_async(cls) -> None:
        """Connect to Temporal; raises UnavailableError or ConfigurationError saying what is wrong."""
        await cls._on_core(lambda core: core.check())

    @classmethod
    async def run_worker_immediately_async(
        facade: Any,
        /,
        *,
        cls: WorkerClass,
        params: Any,
        outcome: asyncio.Future[Any] | None = None,
        wait_seconds: float = DEFAULT_WAIT_SECONDS,
    ) -> Any:
        """Start a run of `cls` at once, in this process if it serves the lane, and wait for it.

        Returns the run's result, or, where this process serves, `outcome`'s if that is done first; None after
        `wait_seconds`, the run goes on. A run under way under the same id is joined, not started again.
        Raises UnavailableError after `wait_seconds` without a connection.
        """
        return await facade._on_core(
            lambda core: core.run_immediately(cls, params, outcome=outcome, wait_seconds=wait_seconds)
        )

    @classmethod
    async def start_worker_async(facade: Any, /, *, cls: WorkerClass, params: Any) -> bool:
        """Start a run of `cls` and do not wait; False when one is under way under the same id."""
        return bool(await facade._on_core(lambda core: core.start(cls, params)))

    @classmethod
    async def update_worker_async(
        facade: Any, /, *, cls: WorkerClass, params: Any, update: str, argument: Any = None
    ) -> Any:
        """Have the run of `cls` under way handle the update of that name; returns its result.

        Raises ConflictError with the run's own code when it refuses, NotFoundError "worker_not_running".
        """
        return await facade._on_core(lambda core: core.update(cls, params, update, argument))

    @classmethod
    async def signal_worker_async(facade: Any, /, *, cls: WorkerClass, params: Any, signal: str) -> None:
        """Leave the signal of that name for the run of `cls` under way; it is kept until a worker comes.

        Raises NotFoundError "worker_not_running".
        """
        await facade._on_core(lambda core: core.signal(cls, params, signal))

    @classmethod
    async def run_state_async(facade: Any, /, *, cls: WorkerClass, params: Any) -> RunState | None:
        """What became of the newest run of `cls` under its id; None when Temporal knows of none."""
        state: RunState | None = await facade._on_core(lambda core: core.run_state(cls, params))
        return state

    @classmethod
    async def schedule_worker_as_cron_async(facade: Any, /, *, cls: WorkerClass, cron_schedule: str) -> str:
        """Run `cls` on a cron expression (UTC), never two at once; creates or updates, returns its id."""
        return str(await facade._on_core(lambda core: core.schedules.schedule_as_cron(cls, cron_schedule)))

    @classmethod
    async def run_scheduled_worker_now_async(
        facade: Any, /, *, cls: WorkerClass, wait_seconds: float = SCHEDULED_RUN_WAIT_SECONDS
    ) -> Any:
        """Trigger the schedule of `cls` now and wait for that run; returns its result.

        Raises UnavailableError "scheduled_run_failed" when it failed or has not ended after `wait_seconds`,
        as without any worker.
        """
        return await facade._on_core(lambda core: core.schedules.run_now(cls, wait_seconds=wait_seconds))

    @classmethod
    async def schedule_state_async(cls_: Any, *, cls: WorkerClass) -> ScheduleState | None:
        """What Temporal knows of the schedule of `cls`; None when there is none."""
        state: ScheduleState | None = await cls_._on_core(lambda core: core.schedules.state(cls))
        return state

    run_worker_immediately = blocking(run_worker_immediately_async)
    start_worker = blocking(start_worker_async)
    schedule_worker_as_cron = blocking(schedule_worker_as_cron_async)
    run_scheduled_worker_now = blocking(run_scheduled_worker_now_async)

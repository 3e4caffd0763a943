"""Starts, schedules and serves worker classes; everything the service asks of Temporal."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from modules.application.errors import ConflictError, NotFoundError, ServiceError
from modules.application.internals.lasting_server import LastingServer
from modules.application.internals.temporal_diagnosis import TemporalUnavailableError
from modules.application.internals.temporal_gateway import TemporalGateway
from modules.application.internals.worker_schedules import WorkerSchedules, task_queue, timedelta_of
from modules.application.internals.worker_server import WorkerServer
from modules.application.worker import (
    Lane,
    RunState,
    WorkerClass,
    WorkerPlan,
    WorkerStart,
)
from modules.config.types import TemporalSettings
from modules.logger.logger_service import get_logger

# An eager run in this process ends long before; asking the server for the result would cost it a poll.
EAGER_GRACE_SECONDS = 0.5
STOP_MARGIN_SECONDS = 5.0
# A campaign's slices under way have to end first, each after the chunk it is sending.
UPDATE_WAIT_SECONDS = 60.0
_log = get_logger()


class WorkerNotRunningError(NotFoundError):
    """No run of the worker is under way under this id."""

    def __init__(self) -> None:
        super().__init__(code="worker_not_running", reason="no run of this worker is under way")


class WorkerRuntime:
    """Lives on one event loop. Methods raise TemporalUnavailableError when Temporal cannot be reached."""

    def __init__(self, gateway: TemporalGateway, settings: TemporalSettings) -> None:
        self._gateway = gateway
        self._settings = settings
        self._servers: list[WorkerServer] = []
        self.schedules = WorkerSchedules(gateway, settings)

    async def serve(self, plan: WorkerPlan) -> None:
        """Serve `plan` and see to its schedules once connected; connects now."""

        async def connected(client: Client) -> None:
            for schedule in plan.schedules:
                await self.schedules.ensure(client, schedule)
            server = self._server(plan)
            await server.start(client)
            self._servers.append(server)

        self._gateway.on_connected(connected)
        await self._gateway.client()

    def _server(self, plan: WorkerPlan) -> WorkerServer:
        if plan.lasting:
            return LastingServer(plan, self.task_queue, renew=self._gateway.renew)
        return WorkerServer(plan, self.task_queue)

    async def wait_served(self) -> None:
        """Wait until a server has ended by itself, which a lasting one never does; raises what ended it."""
        await asyncio.gather(*(server.wait() for server in self._servers))

    async def wait_polling(self) -> None:
        """Return when every server polls, or one has ended by itself: `wait_served` says why."""
        await asyncio.gather(*(server.wait_polling() for server in self._servers))

    async def stop(self, grace_seconds: float) -> None:
        """Stop all servers. Temporal's own graceful shutdown is bounded by `grace_seconds` from outside."""
        await self._gateway.stop()
        servers, self._servers = self._servers, []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds + STOP_MARGIN_SECONDS):
                await asyncio.gather(*(server.stop() for server in servers))

    async def check(self) -> None:
        await self._gateway.client()

    def task_queue(self, lane: Lane) -> str:
        return task_queue(self._settings, lane)

    async def run_immediately(
        self, cls: WorkerClass, params: Any, *, outcome: asyncio.Future[Any] | None, wait_seconds: float
    ) -> Any:
        """Start a run and wait for `outcome`, the run's result, or `wait_seconds`, whichever comes first.

        Returns what came first, None after the wait; the run goes on. A run that is under way under the same
        id is joined. A failed run gives None: what became of its row is on the row. Waiting for a connection
        counts: raises TemporalUnavailableError when there is none after `wait_seconds`.
        """
        until = time.monotonic() + wait_seconds
        handle = await self._start(cls, params, await self._gateway.client(wait_seconds=wait_seconds))
        outcome = outcome if self._servers else None  # told by workers of this process only
        if outcome is not None:
            grace_seconds = min(EAGER_GRACE_SECONDS, max(0.0, until - time.monotonic()))
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(asyncio.shield(outcome), grace_seconds)
        result = asyncio.ensure_future(_result(handle))
        waiting: set[asyncio.Future[Any]] = {result} if outcome is None else {result, outcome}
        left_seconds = max(0.0, until - time.monotonic())
        done, _ = await asyncio.wait(waiting, timeout=left_seconds, return_when=asyncio.FIRST_COMPLETED)
        if result not in done:
            result.cancel()
            await asyncio.gather(result, return_exceptions=True)
        return next(iter(done)).result() if done else None

    async def start(self, cls: WorkerClass, params: Any) -> bool:
        """Start a run unless one is under way under the same id; False in that case."""
        client = await self._gateway.client()
        try:
            await self._start_workflow(client, cls, params, eager=False)
        except WorkflowAlreadyStartedError:
            return False
        return True

    async def update(self, cls: WorkerClass, params: Any, update: str, argument: Any) -> Any:
        """Have the run under way handle an update and wait for it; returns the handler's result.

        Raises ConflictError with the run's own code when it refuses, WorkerNotRunningError, and
        TemporalUnavailableError after UPDATE_WAIT_SECONDS: the run may still handle it then.
        """
        client = await self._gateway.client()
        handle = client.get_workflow_handle_for(cls.run, cls.describe(params).workflow_id)
        arguments = [] if argument is None else [argument]
        try:
            async with asyncio.timeout(UPDATE_WAIT_SECONDS):
                return await handle.execute_update(getattr(cls, update), args=arguments)
        except WorkflowUpdateFailedError as error:
            raise _refusal(error.cause) from error
        except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
            reason = f"not done within {UPDATE_WAIT_SECONDS:.0f} s and may yet; is a worker running?"
            raise TemporalUnavailableError(reason) from None
        except RPCError as error:
            raise _not_reached(error) from error

    async def signal(self, cls: WorkerClass, params: Any, signal: str) -> None:
        """Leave a signal for the run under way; raises WorkerNotRunningError."""
        client = await self._gateway.client()
        handle = client.get_workflow_handle_for(cls.run, cls.describe(params).workflow_id)
        timeout = timedelta(seconds=self._settings.connect_timeout_seconds)
        try:
            await handle.signal(getattr(cls, signal), rpc_timeout=timeout)
        except RPCError as error:
            raise _not_reached(error) from error

    async def run_state(self, cls: WorkerClass, params: Any) -> RunState | None:
        """What became of the newest run under its id; None when there has been none for long."""
        client = await self._gateway.client()
        handle = client.get_workflow_handle_for(cls.run, cls.describe(params).workflow_id)
        timeout = timedelta(seconds=self._settings.connect_timeout_seconds)
        try:
            run = await handle.describe(rpc_timeout=timeout)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise _not_reached(error) from error
        return RunState(
            run_id=run.run_id,
            is_open=run.status is WorkflowExecutionStatus.RUNNING,
            has_failed=run.status is WorkflowExecutionStatus.FAILED,
        )

    async def query(self, cls: WorkerClass, params: Any, query: str) -> Any:
        """What the newest run answers, also when it has ended; raises as `update` does."""
        client = await self._gateway.client()
        handle = client.get_workflow_handle_for(cls.run, cls.describe(params).workflow_id)
        timeout = timedelta(seconds=self._settings.connect_timeout_seconds)
        try:
            return await handle.query(getattr(cls, query), rpc_timeout=timeout)
        except (WorkflowQueryFailedError, WorkflowQueryRejectedError) as error:
            raise TemporalUnavailableError("the run could not answer") from error
        except RPCError as error:
            raise _not_reached(error) from error

    async def _start(self, cls: WorkerClass, params: Any, client: Client) -> WorkflowHandle[Any, Any]:
        try:
            return await self._start_workflow(client, cls, params, eager=self._gateway.can_serve)
        except WorkflowAlreadyStartedError:
            return client.get_workflow_handle_for(cls.run, cls.describe(params).workflow_id)

    async def _start_workflow(
        self, client: Client, cls: WorkerClass, params: Any, *, eager: bool
    ) -> WorkflowHandle[Any, Any]:
        start = cls.describe(params)
        try:
            return await client.start_workflow(
                cls.run,
                params,
                id=start.workflow_id,
                task_queue=self.task_queue(start.lane),
                task_timeout=timedelta(seconds=self._settings.workflow_task_timeout_seconds),
                run_timeout=timedelta_of(start.run_timeout_seconds),
                request_eager_start=eager,
                static_summary=start.summary,
                static_details=start.details,
                memo=start.memo,
                search_attributes=_search_attributes(start),
                rpc_timeout=timedelta(seconds=self._settings.connect_timeout_seconds),
            )
        except RPCError as error:
            raise TemporalUnavailableError("the worker could not be started") from error


async def _result(handle: WorkflowHandle[Any, Any]) -> Any:
    try:
        return await handle.result()
    except (WorkflowFailureError, RPCError) as error:
        _log.warning("run has no result", action="worker.no_result", error=type(error).__name__)
        return None


def _refusal(cause: BaseException) -> ConflictError:
    if isinstance(cause, ApplicationError) and cause.type:
        return ConflictError(code=cause.type, reason=cause.message)
    return ConflictError(code="update_failed", reason="the run could not handle it")


def _not_reached(error: RPCError) -> ServiceError:
    if error.status is RPCStatusCode.NOT_FOUND:
        return WorkerNotRunningError()
    return TemporalUnavailableError("the run could not be asked")


def _search_attributes(start: WorkerStart) -> TypedSearchAttributes:
    pairs: Mapping[str, str] = start.attributes
    return TypedSearchAttributes(
        [SearchAttributePair(SearchAttributeKey.for_keyword(name), text) for name, text in pairs.items()]
    )

"""Whom a caller waits for: its own process where that serves, the run's result where another one does."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from modules.application.internals.temporal_gateway import ConnectedHook, TemporalGateway
from modules.application.internals.worker_runtime import WorkerRuntime
from modules.application.internals.worker_server import WorkerServer
from modules.application.worker import Lane, WorkerPlan
from modules.config.config_service import ConfigService
from modules.notification.workers.push_notification_worker import PushNotificationWorker
from tests.support.workflow_runs import make_worker_params

PLAN = WorkerPlan(
    workers=(),
    activities=(),
    schedules=(),
    slots={Lane.IMMEDIATE: 1},
    grace_seconds=1,
    local_only=True,
    lasting=False,
)
LONG_SECONDS = 3600.0


class ScriptedRun:
    """Stands where Temporal's client is: every run has ended in another process."""

    async def start_workflow(self, *_: object, **__: object) -> ScriptedRun:
        return self

    async def result(self) -> str:
        return "of the run"


class ScriptedGateway:
    def __init__(self, *, can_serve: bool) -> None:
        self.can_serve = can_serve
        self._hooks: list[ConnectedHook] = []

    def on_connected(self, hook: ConnectedHook) -> None:
        self._hooks.append(hook)

    async def client(self, **_: object) -> Any:
        client: Any = ScriptedRun()
        while self._hooks:
            await self._hooks.pop(0)(client)
        return client

    async def stop(self) -> None:
        return


class Untold(asyncio.Future[str]):
    """An outcome that nobody in this process tells; it counts who waits for it."""

    waited = 0

    def add_done_callback(self, *callback: Any, **context: Any) -> None:
        self.waited += 1
        super().add_done_callback(*callback, **context)


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers start and end without a server."""

    async def nothing(*_: object) -> None:
        return

    monkeypatch.setattr(WorkerServer, "start", nothing)
    monkeypatch.setattr(WorkerServer, "stop", nothing)


def runtime(*, can_serve: bool) -> WorkerRuntime:
    gateway = cast("TemporalGateway", ScriptedGateway(can_serve=can_serve))
    return WorkerRuntime(gateway, ConfigService.load({"APP_ENV": "test"}).temporal)


@pytest.mark.parametrize("can_serve", [False, True], ids=["a forked child", "an operator"])
async def test_who_serves_nothing_asks_for_the_runs_result_at_once(can_serve: bool) -> None:
    outcome = Untold()
    told = await runtime(can_serve=can_serve).run_immediately(
        PushNotificationWorker, make_worker_params(), outcome=outcome, wait_seconds=LONG_SECONDS
    )
    assert told == "of the run"
    assert outcome.waited == 0


@pytest.mark.usefixtures("serving")
async def test_who_serves_waits_for_what_its_own_worker_tells() -> None:
    serving = runtime(can_serve=True)
    await serving.serve(PLAN)
    outcome = Untold()
    asyncio.get_running_loop().call_soon(outcome.set_result, "told here")
    told = await serving.run_immediately(
        PushNotificationWorker, make_worker_params(), outcome=outcome, wait_seconds=LONG_SECONDS
    )
    assert told == "told here"
    assert outcome.waited > 0

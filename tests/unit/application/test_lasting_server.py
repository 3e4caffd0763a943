"""A worker that died by itself is told of and served again, after pauses that grow up to a bound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from modules.application.internals import lasting_server
from modules.application.internals.lasting_server import LastingServer
from modules.application.internals.temporal_diagnosis import TemporalUnavailableError
from modules.application.internals.temporal_gateway import ConnectedHook
from modules.application.worker import Lane, WorkerPlan
from tests.support.process_logs import capture_logs

FIRST, SECOND, LONGEST = 0.001, 0.002, 0.003


class ScriptedWorker:
    """Stands where the SDK's worker is: runs until it is shut down or told to die."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        await self.end

    async def shutdown(self) -> None:
        if not self.end.done():
            self.end.set_result(None)


class ScriptedServer(LastingServer):
    """Makes scripted workers, and connects anew unless told to fail."""

    def __init__(self, plan: WorkerPlan) -> None:
        super().__init__(
            plan,
            lambda lane: lane.value,
            renew=self._connect,
            first_pause_seconds=FIRST,
            longest_pause_seconds=LONGEST,
        )
        self.started: asyncio.Queue[ScriptedWorker] = asyncio.Queue()
        self.connect_failures: list[Exception] = []

    async def next_round(self) -> dict[Lane, ScriptedWorker]:
        async with asyncio.timeout(10):
            return {worker.lane: worker for worker in [await self.started.get() for _ in self._plan.slots]}

    def _worker(self, client: Any, lane: Lane) -> Any:
        worker = ScriptedWorker(lane)
        self.started.put_nowait(worker)
        return worker

    async def _connect(self, hook: ConnectedHook) -> None:
        if self.connect_failures:
            raise self.connect_failures.pop(0)
        client: Any = None
        await hook(client)


@pytest.fixture
def lived(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each server is taken to have lived, in seconds; the first ones at once, if it is empty."""
    seconds: list[float] = []
    began: list[bool] = [False]

    class Clock:
        @staticmethod
        def monotonic() -> float:
            began[0] = not began[0]
            if began[0]:
                return 0.0
            return seconds.pop(0) if seconds else 0.0

    monkeypatch.setattr(lasting_server, "time", Clock)
    return seconds


@pytest.fixture
async def server(lived: list[float]) -> AsyncIterator[ScriptedServer]:
    plan = WorkerPlan(
        workers=(),
        activities=(),
        schedules=(),
        slots={Lane.IMMEDIATE: 1, Lane.NORMAL: 1},
        grace_seconds=1,
        local_only=True,
        lasting=True,
    )
    made = ScriptedServer(plan)
    client: Any = None
    await made.start(client)
    yield made
    await made.stop()


async def test_all_lanes_are_served_again_when_one_has_died(server: ScriptedServer) -> None:
    served = asyncio.create_task(server.wait())
    with capture_logs() as logs:
        first = await server.next_round()
        first[Lane.NORMAL].end.set_exception(RuntimeError("its own words"))
        second = await server.next_round()
    assert first[Lane.IMMEDIATE].end.done(), "the other lane of the dead server has ended"
    assert not any(worker.end.done() for worker in second.values())
    assert not served.done(), "it lasts"
    [told] = logs
    assert (told["action"], told["log_level"], told["error"]) == ("worker.ended", "error", "RuntimeError")
    assert "its own words" not in str(told)


async def test_the_pauses_grow_up_to_a_bound_and_start_over_after_a_long_life(
    server: ScriptedServer, lived: list[float]
) -> None:
    lived += [0.0, 0.0, 0.0, 0.0, 2 * LONGEST]
    with capture_logs() as logs:
        for _ in range(5):
            workers = await server.next_round()
            workers[Lane.IMMEDIATE].end.set_exception(RuntimeError())
        await server.next_round()
    assert [each["again_in_seconds"] for each in logs] == [FIRST, SECOND, LONGEST, LONGEST, FIRST]


async def test_a_start_that_fails_is_told_and_tried_again(server: ScriptedServer) -> None:
    server.connect_failures = [TemporalUnavailableError("away"), RuntimeError()]
    with capture_logs() as logs:
        workers = await server.next_round()
        workers[Lane.IMMEDIATE].end.set_exception(KeyError())
        await server.next_round()
    assert [each["error"] for each in logs] == ["KeyError", "TemporalUnavailableError", "RuntimeError"]


async def test_one_that_is_stopped_is_not_served_again(server: ScriptedServer) -> None:
    workers = await server.next_round()
    served = asyncio.create_task(server.wait())
    with capture_logs() as logs:
        await server.stop()
        await asyncio.wait_for(served, 10)
    assert all(worker.end.done() for worker in workers.values())
    assert server.started.empty()
    assert logs == []

"""One simulator of each engine for all tests that leave it alive; every test finds it as it was started."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.simulator.processes import ENGINES, FcmClient, RunningSimulator, make_http_client

StartSimulator = Callable[..., RunningSimulator]


@pytest.fixture(scope="session")
def session_simulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RunningSimulator]]:
    running = {
        engine: RunningSimulator.start(tmp_path_factory.mktemp(engine), "--engine", engine)
        for engine in ENGINES
    }
    yield running
    codes = {engine: simulator.end(signal.SIGTERM) for engine, simulator in running.items()}
    assert codes == dict.fromkeys(ENGINES, 0)


@pytest.fixture
def h2_simulator(session_simulators: dict[str, RunningSimulator]) -> RunningSimulator:
    session_simulators["h2"].control.reset()
    return session_simulators["h2"]


@pytest.fixture(params=ENGINES)
def simulator(
    request: pytest.FixtureRequest, session_simulators: dict[str, RunningSimulator]
) -> RunningSimulator:
    session_simulators[request.param].control.reset()
    return session_simulators[request.param]


@pytest.fixture
async def fcm(simulator: RunningSimulator) -> AsyncIterator[FcmClient]:
    async with make_http_client(simulator) as client:
        fcm = FcmClient(simulator, client)
        await fcm.authenticate()
        yield fcm


@pytest.fixture
async def h2_fcm(h2_simulator: RunningSimulator) -> AsyncIterator[FcmClient]:
    async with make_http_client(h2_simulator) as client:
        fcm = FcmClient(h2_simulator, client)
        await fcm.authenticate()
        yield fcm


@pytest.fixture
def start_simulator(tmp_path: Path) -> Iterator[StartSimulator]:
    """Starts simulators of the test's own, in `tmp_path` unless told otherwise; none survives the test."""
    started: list[RunningSimulator] = []

    def start(*options: str, folder: Path = tmp_path, port: int = 0) -> RunningSimulator:
        started.append(RunningSimulator.start(folder, *options, port=port))
        return started[-1]

    yield start
    for simulator in started:
        if simulator.process.poll() is None:
            simulator.process.kill()
        simulator.close()

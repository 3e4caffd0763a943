"""A protocol core in a folder of the test's own, with keys that are made once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simulator.exchange import Effect
from simulator.fcm_simulator import FcmSimulator
from simulator.h2_engine import SUPPORTED_EFFECTS
from simulator.service_accounts import PROJECTS, provide_service_accounts
from tests.unit.simulator.sends import ENDPOINT

MakeSimulator = Callable[..., FcmSimulator]


@pytest.fixture(scope="session")
def service_account_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("accounts")
    provide_service_accounts(folder, f"{ENDPOINT}/token")
    return folder


@pytest.fixture
def folder(service_account_folder: Path, tmp_path: Path) -> Path:
    """A folder that already holds the service accounts."""
    for name in PROJECTS.values():
        shutil.copy2(service_account_folder / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def make_simulator(folder: Path) -> Iterator[MakeSimulator]:
    made: list[FcmSimulator] = []

    def make(
        *, engine: str = "h2", effects: frozenset[Effect] = SUPPORTED_EFFECTS, latency_ms: int = 0
    ) -> FcmSimulator:
        made.append(
            FcmSimulator(
                folder, endpoint=ENDPOINT, engine=engine, supported_effects=effects, latency_ms=latency_ms
            )
        )
        return made[-1]

    yield make
    for simulator in made:
        simulator.close()


@pytest.fixture
def simulator(make_simulator: MakeSimulator) -> FcmSimulator:
    return make_simulator()

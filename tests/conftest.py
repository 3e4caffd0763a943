"""Fixtures every tier may ask for: real servers start when the first test asks, and end with the session."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from pymongo import MongoClient

from local_stack.local_stack_service import LocalStack, LocalStackService
from local_stack.types import LocalStackParams, SimulatorAddress
from tests.support.servers import remove_stale_folders, session_folder, start_stack

# Contracts assert in files that pytest does not take for tests.
pytest.register_assert_rewrite("tests.support.store_contracts")

TESTS = Path(__file__).parent
TIERS_WITHOUT_SERVERS = frozenset({"unit", "architecture", "replay"})
_exit_status: list[int] = []


def _leave_with_own_status() -> None:
    # temporalio now and then aborts while the interpreter ends, after all work (exit code 134).
    if _exit_status:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_exit_status[-1])


# Registered first, so it runs last.
atexit.register(_leave_with_own_status)


def pytest_configure() -> None:
    # A busy machine is no failure of one example; each test has its time limit.
    settings.register_profile("by_test", deadline=None)
    settings.load_profile("by_test")
    # A shell starts background jobs with SIGINT ignored, and what a test starts inherits that: no Ctrl-C
    # would reach it (POSIX, Shell Command Language, "Asynchronous Lists").
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    _exit_status.append(int(exitstatus))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Obtain the servers' programs before the first test: a build takes longer than any test may."""
    if session.config.option.collectonly:
        return
    paths = [item.path for item in session.items if item.path.is_relative_to(TESTS)]
    tiers = {path.relative_to(TESTS).parts[0] for path in paths}
    if tiers - TIERS_WITHOUT_SERVERS:
        writer = session.config.get_terminal_writer()
        remove_stale_folders()
        LocalStackService.prepare(writer.line)


@pytest.fixture(scope="session")
def stack() -> Iterator[LocalStack]:
    """MongoDB, Temporal and the FCM simulator for the whole session: share it, never stop or kill it."""
    with start_stack("session") as running:
        yield running
    shutil.rmtree(session_folder(), ignore_errors=True)


@pytest.fixture
def fresh_stack() -> Iterator[LocalStack]:
    """The same servers for one test alone, which may do to them what it likes."""
    name = f"fresh-{uuid.uuid4().hex[:8]}"
    with start_stack(name, LocalStackParams(folder=Path(), use_configured=False)) as running:
        yield running
    shutil.rmtree(session_folder() / name, ignore_errors=True)


@pytest.fixture
def three_nodes() -> Iterator[LocalStack]:
    """As `fresh_stack`, with a replica set of three (see MongodbNodes for what can be done to it)."""
    name = f"three-{uuid.uuid4().hex[:8]}"
    params = LocalStackParams(
        folder=Path(), use_configured=False, mongodb_nodes=3, mongodb_cache_gigabytes=0.25
    )
    with start_stack(name, params) as running:
        yield running
    shutil.rmtree(session_folder() / name, ignore_errors=True)


@pytest.fixture(scope="session")
def mongodb_uri(stack: LocalStack) -> str:
    return stack.mongodb_uri


@pytest.fixture(scope="session")
def temporal_address(stack: LocalStack) -> str:
    return stack.temporal_address


@pytest.fixture(scope="session")
def simulator(stack: LocalStack) -> SimulatorAddress:
    return stack.simulator


@pytest.fixture
def database_name(mongodb_uri: str) -> Iterator[str]:
    """The name of a database of this test's own, dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    yield name
    with MongoClient[dict[str, object]](mongodb_uri) as client:
        client.drop_database(name)

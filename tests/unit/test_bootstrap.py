"""What bootstrap composes, without the servers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
import structlog

import bootstrap as composition
from bootstrap import Application, Role
from modules.config.config_service import ConfigService
from modules.config.types import Settings
from modules.logger.logger_service import LOGGER_NAME
from tests.support.process_logs import logging_as_before

# Long enough for a second thread to get as far, if nothing keeps it from that.
MEETING_SECONDS = 0.3


@pytest.fixture
def settings() -> Settings:
    return ConfigService.load({"APP_ENV": "test"})


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Application]]:
    """The applications that were started; each waits whether another one is started beside it."""
    started: list[Application] = []
    second = threading.Event()

    async def start(self: Application) -> None:
        started.append(self)
        if len(started) > 1:
            second.set()
        second.wait(MEETING_SECONDS)

    monkeypatch.setattr(Application, "start", start)
    yield started
    for application in started:
        application.close()


def test_threads_that_bootstrap_at_once_share_one_application(
    settings: Settings, starts: list[Application]
) -> None:
    with ThreadPoolExecutor() as pool:
        made = [pool.submit(composition.bootstrap, settings) for _ in range(2)]
        applications = {each.result(10) for each in made}
    assert applications == set(starts)
    assert len(starts) == 1


def test_one_that_could_not_start_is_closed_and_the_next_may(
    settings: Settings, starts: list[Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: Application) -> None:
        raise KeyError

    with monkeypatch.context() as failing:
        failing.setattr(Application, "start", fail)
        with pytest.raises(KeyError):
            composition.bootstrap(settings)
    assert [composition.bootstrap(settings)] == starts


@pytest.mark.parametrize(("role", "worker"), [(Role.CALLER, False), (Role.WORKER, True)])
def test_only_a_worker_changes_schedules_and_ends_with_its_serving(
    settings: Settings, role: Role, worker: bool
) -> None:
    with closing(Application(settings, role)) as application:
        plan = application._plan()
    assert plan.schedules, "a caller too creates what is not there"
    assert all(schedule.update is worker for schedule in plan.schedules)
    assert plan.lasting is not worker


def test_a_hosts_logging_is_as_it_was_after_bootstrap_and_close(
    settings: Settings, starts: list[Application]
) -> None:
    own = logging.NullHandler()
    root = logging.getLogger()
    structlog.configure(processors=[structlog.processors.JSONRenderer(sort_keys=True)])
    try:
        with logging_as_before():
            root.addHandler(own)
            root.setLevel(logging.DEBUG)
            before = logging_state(), structlog.get_config()
            application = composition.bootstrap(settings)
            assert (logging_state(), structlog.get_config()) == before
            application.close()
            assert (logging_state(), structlog.get_config()) == before
    finally:
        structlog.reset_defaults()


def logging_state() -> dict[str, Any]:
    names = ["", LOGGER_NAME, "pymongo", "temporalio", "temporalio.activity", "asyncio"]
    loggers = {name: logging.getLogger(name) for name in names}
    return {
        name: (each.handlers[:], each.filters[:], each.level, each.propagate, each.disabled)
        for name, each in loggers.items()
    }

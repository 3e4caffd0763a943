"""The sandbox that workers are served in: their file is the process's own, and what is forbidden stays so."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
from temporalio.client import Client
from temporalio.worker.workflow_sandbox import SandboxRestrictions
from temporalio.worker.workflow_sandbox._importer import Importer
from temporalio.worker.workflow_sandbox._restrictions import RestrictionContext

from modules.application.internals import worker_server
from modules.application.internals.worker_server import WorkerServer, workflow_runner
from modules.application.worker import Lane, WorkerPlan
from modules.notification.workers.push_notification_worker import PushNotificationWorker

RUNNER = workflow_runner([PushNotificationWorker])


def test_a_workers_file_is_not_imported_anew_for_each_run() -> None:
    importer = Importer(RUNNER.restrictions, RestrictionContext())
    assert importer.module_configured_passthrough(PushNotificationWorker.__module__)
    assert not importer.module_configured_passthrough("requests")


def test_what_is_served_runs_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, object] = {}
    monkeypatch.setattr(worker_server, "Worker", lambda _, **arguments: given.update(arguments))
    plan = WorkerPlan(
        workers=[PushNotificationWorker],
        activities=[],
        schedules=[],
        slots={Lane.IMMEDIATE: 1},
        grace_seconds=1,
        local_only=True,
        lasting=True,
    )
    WorkerServer(plan, str)._worker(cast(Client, None), Lane.IMMEDIATE)
    assert given["workflow_runner"] == RUNNER


def test_nothing_else_of_the_sandbox_is_given_up() -> None:
    default = SandboxRestrictions.default
    assert replace(RUNNER.restrictions, passthrough_modules=default.passthrough_modules) == default
    assert RUNNER.restrictions.passthrough_modules - default.passthrough_modules == {"modules"}

"""Runs under way when the code changes go on: every captured history replays, and refuses a mutant."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.converter import DataConverter
from temporalio.worker import Replayer

from modules.campaign.run_types import CampaignRunParams, RecordStateParams
from modules.campaign.workers import campaign_progress
from modules.campaign.workers.campaign_steps import RECORD_ACTIVITY
from modules.campaign.workers.campaign_worker import CampaignWorker
from modules.notification.types import DeliveryReport, PushNotificationWorkerParams
from modules.notification.workers.params import BatchParams, DeliverParams, DuePage, ScanCounts, ScanParams
from modules.notification.workers.push_notification_batch_worker import DELIVER_RANGE_ACTIVITY
from modules.notification.workers.push_notification_worker import DELIVER_ACTIVITY, DELIVER_TIMEOUT
from modules.notification.workers.push_notifications_worker import (
    ACTIVITY_TIMEOUT,
    EXPIRE_ACTIVITY,
    START_ACTIVITY,
)
from temporal_config import WORKERS

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))
# TemporalGateway connects without one of its own: the SDK's default is what production writes with.
PRODUCTION_CONVERTER = DataConverter.default


def load(path: Path) -> WorkflowHistory:
    text = path.read_text()
    started = json.loads(text)["events"][0]["workflowExecutionStartedEventAttributes"]
    return WorkflowHistory.from_json(started.get("workflowId") or "replayed", text)


def replayer(*workflows: type[Any]) -> Replayer:
    return Replayer(workflows=workflows, data_converter=PRODUCTION_CONVERTER)


def named(*prefixes: str) -> list[Any]:
    wanted = [path for path in HISTORIES if path.name.startswith(prefixes)]
    return [pytest.param(path, id=path.stem) for path in wanted]


@pytest.mark.parametrize("path", named(""))
def test_a_history_does_not_name_the_files_of_the_machine_that_captured_it(path: Path) -> None:
    assert "stackTrace" not in path.read_text()


@pytest.mark.parametrize("path", named(""))
async def test_history_replays(path: Path) -> None:
    await replayer(*WORKERS).replay_workflow(load(path))


def test_every_worker_class_has_a_history() -> None:
    recorded = {
        json.loads(path.read_text())["events"][0]["workflowExecutionStartedEventAttributes"]["workflowType"][
            "name"
        ]
        for path in HISTORIES
    }
    assert recorded == {worker.__name__ for worker in WORKERS}


@workflow.defn(name="PushNotificationWorker")
class RemoteDeliveryMutant:
    """Delivers by a remote activity where the real one uses a local one."""

    @workflow.run
    async def run(self, params: PushNotificationWorkerParams) -> DeliveryReport:
        reports: list[DeliveryReport] = await workflow.execute_activity(
            DELIVER_ACTIVITY,
            DeliverParams(notification_ids=[params.notification_id]),
            result_type=list[DeliveryReport],
            start_to_close_timeout=DELIVER_TIMEOUT,
        )
        return reports[0]


@workflow.defn(name="PushNotificationWorker")
class NeverWaitingMutant:
    """Delivers once and leaves, whatever came of it."""

    @workflow.run
    async def run(self, params: PushNotificationWorkerParams) -> DeliveryReport:
        reports: list[DeliveryReport] = await workflow.execute_local_activity(
            DELIVER_ACTIVITY,
            DeliverParams(notification_ids=[params.notification_id]),
            result_type=list[DeliveryReport],
            start_to_close_timeout=DELIVER_TIMEOUT,
        )
        return reports[0]


@workflow.defn(name="PushNotificationsWorker")
class NeverExpiringMutant:
    """Starts with the first page, without ending what is too late."""

    @workflow.run
    async def run(self, params: ScanParams) -> ScanCounts:
        cursor = params.cursor
        while True:
            page: DuePage = await workflow.execute_activity(
                START_ACTIVITY,
                ScanParams(cursor=cursor),
                result_type=DuePage,
                start_to_close_timeout=ACTIVITY_TIMEOUT,
            )
            cursor = page.cursor
            if cursor is None:
                return params.counts


@workflow.defn(name="PushNotificationsWorker")
class PausingMutant:
    """Waits before it begins."""

    @workflow.run
    async def run(self, params: ScanParams) -> ScanCounts:
        await workflow.sleep(timedelta(seconds=1))
        return params.counts


@workflow.defn(name="PushNotificationBatchWorker")
class LocalDeliveryMutant:
    """Delivers by a local activity where the real one uses a remote one."""

    @workflow.run
    async def run(self, params: BatchParams) -> dict[str, int]:
        counts: dict[str, int] = await workflow.execute_local_activity(
            DELIVER_RANGE_ACTIVITY,
            params,
            result_type=dict[str, int],
            start_to_close_timeout=ACTIVITY_TIMEOUT,
        )
        return counts


@workflow.defn(name="CampaignWorker")
class HastyMutant:
    """Says that the campaign is completed before anything else."""

    @workflow.run
    async def run(self, params: CampaignRunParams) -> dict[str, int]:
        await workflow.execute_activity(
            RECORD_ACTIVITY,
            RecordStateParams(campaign_id=params.campaign_id, state="completed"),
            start_to_close_timeout=ACTIVITY_TIMEOUT,
        )
        return params.counts


@workflow.defn(name="CampaignWorker")
class DeafMutant(CampaignWorker):
    """Hears commands alone, whatever its record says."""

    @workflow.init
    def __init__(self, params: CampaignRunParams) -> None:
        super().__init__(params)

    @workflow.run
    async def run(self, params: CampaignRunParams) -> dict[str, int]:
        return await super().run(params)

    @workflow.signal
    def look(self) -> None:
        pass

    def _harvest(self) -> None:
        super()._harvest()
        self._look_is_due = False


@workflow.defn(name="CampaignWorker")
class FailingMutant(CampaignWorker):
    """Fails with what stops it and tells nobody, as it once did."""

    @workflow.init
    def __init__(self, params: CampaignRunParams) -> None:
        super().__init__(params)

    @workflow.run
    async def run(self, params: CampaignRunParams) -> dict[str, int]:
        return await super().run(params)

    async def _or_give_up(self, work: Callable[[], Awaitable[None]]) -> None:
        await work()


@workflow.defn(name="PushNotificationsWorker")
class ForgettingMutant:
    """Expires and pages, and never looks after campaigns."""

    @workflow.run
    async def run(self, params: ScanParams) -> ScanCounts:
        await workflow.execute_activity(
            EXPIRE_ACTIVITY, result_type=int, start_to_close_timeout=ACTIVITY_TIMEOUT
        )
        await workflow.execute_activity(
            START_ACTIVITY, params, result_type=DuePage, start_to_close_timeout=ACTIVITY_TIMEOUT
        )
        return params.counts


MUTANTS = [
    *((path, RemoteDeliveryMutant) for path in named("push_notification_worker.")),
    *(
        (path, NeverWaitingMutant)
        for path in named(
            "push_notification_worker.retried",
            "push_notification_worker.expired",
            "push_notification_worker.waited",
        )
    ),
    *(
        (path, NeverExpiringMutant)
        for path in named("push_notifications_worker.nothing", "push_notifications_worker.three")
    ),
    *((path, PausingMutant) for path in named("push_notifications_worker.")),
    *(
        (path, ForgettingMutant)
        for path in named("push_notifications_worker.with_campaigns", "push_notifications_worker.batched")
    ),
    *((path, LocalDeliveryMutant) for path in named("push_notification_batch_worker.")),
    *((path, HastyMutant) for path in named("campaign_worker.")),
    *((path, DeafMutant) for path in named("campaign_worker.obeyed_its_record")),
    *((path, FailingMutant) for path in named("campaign_worker.gave_up")),
]


@pytest.mark.parametrize(
    ("path", "mutant"),
    [pytest.param(each.values[0], mutant, id=f"{each.id}-{mutant.__name__}") for each, mutant in MUTANTS],
)
async def test_history_refuses_a_mutant(path: Path, mutant: type[Any]) -> None:
    with pytest.raises(workflow.NondeterminismError):
        await replayer(mutant).replay_workflow(load(path))


@pytest.mark.parametrize(
    ("name", "constant", "other"),
    [
        ("rollout_and_visits", "PAGE_ACCOUNTS", 500),
        ("rollout_and_visits", "SHORTEST_RETRY_SECONDS", 2.0),
        ("paused_and_paced", "SLICES_IN_FLIGHT", 4),
        ("paused_and_paced", "SLICE_SECONDS", 1.0),
        ("cancelled", "SLICES_IN_FLIGHT", 16),
        ("obeyed_its_record", "SLICE_SECONDS", 1.0),
        ("gave_up", "SLICES_IN_FLIGHT", 4),
        ("continued_as_new", "SLICES_IN_FLIGHT", 9),
        ("continued", "MOST_OPEN_PAGES", -1),
    ],
)
async def test_a_campaigns_history_refuses_another_course(
    monkeypatch: pytest.MonkeyPatch, name: str, constant: str, other: float
) -> None:
    """The pure part passes through the sandbox, so a mutant of it is a changed constant."""
    monkeypatch.setattr(campaign_progress, constant, other)
    with pytest.raises(workflow.NondeterminismError):
        await replayer(CampaignWorker).replay_workflow(
            load(HISTORIES[0].parent / f"campaign_worker.{name}.json")
        )

"""The individual worker: who stays with a row, who leaves it, and what an operator sees of it."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowExecutionStatus

from modules.application.worker import Lane
from modules.notification.types import Status
from modules.notification.workers import push_notification_worker
from modules.notification.workers.push_notification_worker import PushNotificationWorker
from temporal_config import SEARCH_ATTRIBUTES
from tests.support.workflow_runs import (
    ScriptedDelivery,
    WorkflowRuns,
    event_types,
    make_worker_params,
    serving_runtime,
)

PENDING, PROCESSING, SENT = Status.PENDING, Status.PROCESSING, Status.SENT


async def test_an_immediate_row_that_is_sent_takes_one_round(runs: WorkflowRuns) -> None:
    delivery, params = ScriptedDelivery([SENT]), make_worker_params()
    async with runs.serving(delivery.deliver):
        handle = await runs.start(PushNotificationWorker, params)
        report = await handle.result()
    assert (report.notification_id, report.status) == (params.notification_id, SENT)
    assert delivery.rounds == [[params.notification_id]]
    assert "ACTIVITY_TASK_SCHEDULED" not in event_types(await handle.fetch_history())


async def test_an_immediate_row_is_retried_on_durable_timers_until_it_is_done(runs: WorkflowRuns) -> None:
    delivery = ScriptedDelivery([PENDING, PENDING, Status.EXPIRED])
    async with runs.serving(delivery.deliver):
        handle = await runs.start(PushNotificationWorker, make_worker_params())
        report = await handle.result()
    assert report.status is Status.EXPIRED
    assert len(delivery.rounds) == 3
    assert event_types(await handle.fetch_history()).count("TIMER_FIRED") == 2


async def test_a_normal_row_goes_back_to_the_scan_after_one_round(runs: WorkflowRuns) -> None:
    delivery = ScriptedDelivery([PENDING, SENT])
    async with runs.serving(delivery.deliver, lane=Lane.NORMAL):
        handle = await runs.start(PushNotificationWorker, make_worker_params(priority="normal"))
        report = await handle.result()
    assert report.status is PENDING
    assert len(delivery.rounds) == 1
    assert "TIMER_STARTED" not in event_types(await handle.fetch_history())


async def test_a_normal_row_under_another_claim_is_waited_for(runs: WorkflowRuns) -> None:
    delivery = ScriptedDelivery([PROCESSING, PROCESSING, SENT])
    async with runs.serving(delivery.deliver, lane=Lane.NORMAL):
        handle = await runs.start(PushNotificationWorker, make_worker_params(priority="normal"))
        report = await handle.result()
    assert report.status is SENT
    assert len(delivery.rounds) == 3


async def test_no_row_is_stayed_with_for_ever(runs: WorkflowRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_notification_worker, "MAX_ROUNDS", 2)
    delivery = ScriptedDelivery([PENDING])
    async with runs.serving(delivery.deliver, sandboxed=False):
        handle = await runs.start(PushNotificationWorker, make_worker_params())
        report = await handle.result()
    assert (report.status, len(delivery.rounds)) == (PENDING, 2)


def test_the_longest_history_stays_below_two_thousand_events() -> None:
    # A round: the marker, the timer's two events and the three of the next workflow task.
    assert push_notification_worker.MAX_ROUNDS * 6 + 10 <= 2_000


async def test_two_runs_for_one_row_never_exist(runs: WorkflowRuns) -> None:
    params = make_worker_params()
    started = await asyncio.gather(*(runs.runtime.start(PushNotificationWorker, params) for _ in range(20)))
    assert sorted(started) == [False] * 19 + [True]
    delivery = ScriptedDelivery([SENT])
    handle = runs.client.get_workflow_handle(f"push-notification/{params.notification_id}")
    async with runs.serving(delivery.deliver):
        await handle.result()
    assert len(delivery.rounds) == 1
    assert await runs.runtime.start(PushNotificationWorker, params), "a new run may follow a finished one"
    await handle.terminate()


@pytest.mark.parametrize(("priority", "lane"), [("immediate", Lane.IMMEDIATE), ("normal", Lane.NORMAL)])
async def test_an_operator_finds_it_by_id_and_account(runs: WorkflowRuns, priority: str, lane: Lane) -> None:
    params = make_worker_params(priority=priority)
    delivery = ScriptedDelivery([SENT])
    async with runs.serving(delivery.deliver, lane=lane):
        handle = await runs.start(PushNotificationWorker, params)
        await handle.result()
        described = await handle.describe()
        metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    assert described.id == f"push-notification/{params.notification_id}"
    assert described.workflow_type == "PushNotificationWorker"
    assert described.status is WorkflowExecutionStatus.COMPLETED
    assert described.task_queue == runs.runtime.task_queue(lane)
    assert await described.memo() == {
        "notification_id": params.notification_id,
        "account_id": params.account_id,
    }
    found = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    assert {name: found[name] for name in SEARCH_ATTRIBUTES if name in found} == {
        "NotificationId": params.notification_id,
        "AccountId": params.account_id,
        "NotificationPriority": priority,
    }
    assert await described.static_summary() == f"push {params.notification_id} ({priority})"
    assert params.account_id in (await described.static_details() or "")
    assert metadata.current_details == "Status **sent** (`scripted`): 1 device(s) accepted, 0 did not"


async def test_running_immediately_returns_the_result(runs: WorkflowRuns) -> None:
    delivery = ScriptedDelivery([SENT])
    async with runs.serving(delivery.deliver):
        report = await runs.runtime.run_immediately(
            PushNotificationWorker, make_worker_params(), outcome=None, wait_seconds=30
        )
    assert report.status is SENT


async def test_running_immediately_joins_a_run_under_way(runs: WorkflowRuns) -> None:
    params, delivery = make_worker_params(), ScriptedDelivery([SENT])
    await runs.start(PushNotificationWorker, params)
    async with runs.serving(delivery.deliver):
        report = await runs.runtime.run_immediately(
            PushNotificationWorker, params, outcome=None, wait_seconds=30
        )
    assert report.status is SENT
    assert len(delivery.rounds) == 1


async def test_running_immediately_waits_no_longer_than_asked_and_the_run_goes_on(runs: WorkflowRuns) -> None:
    params = make_worker_params()
    assert (
        await runs.runtime.run_immediately(PushNotificationWorker, params, outcome=None, wait_seconds=0.1)
        is None
    )
    delivery = ScriptedDelivery([SENT])
    async with runs.serving(delivery.deliver):
        handle = runs.client.get_workflow_handle_for(
            PushNotificationWorker.run, f"push-notification/{params.notification_id}"
        )
        assert (await handle.result()).status is SENT


async def test_the_callers_outcome_comes_before_the_runs_result(temporal_address: str) -> None:
    outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    outcome.set_result("told")
    delivery = ScriptedDelivery([SENT])
    async with serving_runtime(temporal_address, delivery.deliver) as runtime:
        told = await runtime.run_immediately(
            PushNotificationWorker, make_worker_params(), outcome=outcome, wait_seconds=30
        )
        assert told == "told"

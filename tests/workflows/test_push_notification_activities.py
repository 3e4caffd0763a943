"""What the real activities tell Temporal: codes, and whether trying again can help."""

from __future__ import annotations

from typing import Any, cast

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from modules.application.application_service import ApplicationService
from modules.application.errors import InvalidInputError, Problem, StoreError, UnavailableError
from modules.notification.errors import (
    IdempotencyKeyConflictError,
    PushNotificationNotFoundError,
)
from modules.notification.notification_service import NotificationService
from modules.notification.types import DeliveryReport, Status
from modules.notification.workers.activities import PushNotificationActivities
from modules.notification.workers.push_notification_worker import PushNotificationWorker
from tests.support.workflow_runs import WorkflowRuns, make_worker_params


class FailingOnce:
    """Stands for the service: its delivery fails the first time it is asked, then delivers."""

    def __init__(self, failure: Exception) -> None:
        self._failure = failure
        self.asked = 0

    async def deliver_async(self, *, notification_ids: list[str]) -> list[DeliveryReport]:
        self.asked += 1
        if self.asked == 1:
            raise self._failure
        return [
            DeliveryReport(notification_id=each, status=Status.SENT, note="accepted", accepted=1)
            for each in notification_ids
        ]


async def run(runs: WorkflowRuns, service: FailingOnce) -> Any:
    activities = PushNotificationActivities(
        notifications=cast("type[NotificationService]", service),
        application=ApplicationService,
        page_size=1,
        batch_threshold=0,
    )
    async with runs.serving(*activities.all()):
        handle = await runs.start(PushNotificationWorker, make_worker_params())
        return await handle.result()


@pytest.mark.parametrize(
    "failure",
    [
        PushNotificationNotFoundError(),
        IdempotencyKeyConflictError(),
        InvalidInputError([Problem("invalid", "notification_ids", "is wrong")]),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_what_was_refused_for_good_is_not_retried(runs: WorkflowRuns, failure: Any) -> None:
    service = FailingOnce(failure)
    with pytest.raises(WorkflowFailureError) as error:
        await run(runs, service)
    assert isinstance(error.value.cause, ApplicationError)
    assert (error.value.cause.type, error.value.cause.non_retryable) == (failure.code, True)
    assert service.asked == 1


@pytest.mark.parametrize(
    "failure",
    [UnavailableError(code="database_unavailable", reason="away"), StoreError(112), KeyError("unforeseen")],
    ids=lambda failure: type(failure).__name__,
)
async def test_what_may_pass_is_retried(runs: WorkflowRuns, failure: Exception) -> None:
    service = FailingOnce(failure)
    assert (await run(runs, service)).status is Status.SENT
    assert service.asked == 2

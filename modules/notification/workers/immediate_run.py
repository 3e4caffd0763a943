"""Runs the individual worker at once for a row that was just written."""

from __future__ import annotations

import asyncio

from modules.application.application_service import ApplicationService
from modules.notification.internals.intake.request_acceptance import RunWorker
from modules.notification.types import DeliveryReport, Priority
from modules.notification.workers.params import PushNotificationWorkerParams
from modules.notification.workers.push_notification_worker import PushNotificationWorker


def immediate_run(wait_seconds: float) -> RunWorker:
    """The way NotificationService delivers immediate rows; callers wait at most `wait_seconds`."""

    async def run(
        *, notification_id: str, account_id: str, priority: Priority, outcome: asyncio.Future[DeliveryReport]
    ) -> None:
        await ApplicationService.run_worker_immediately_async(
            cls=PushNotificationWorker,
            params=PushNotificationWorkerParams(
                notification_id=notification_id, account_id=account_id, priority=priority.value
            ),
            outcome=outcome,
            wait_seconds=wait_seconds,
        )

    return run

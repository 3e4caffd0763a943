"""Fault 11: Temporal cannot be reached. The row is kept, the caller is told, the scan delivers."""

from __future__ import annotations

from contextlib import closing
from uuid import uuid4

import pytest
from temporalio.client import Client

from bootstrap import Application, Role, bootstrap
from local_stack.local_stack_service import LocalStack
from modules.application.application_service import ApplicationService
from modules.application.errors import UnavailableError
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Platform, TargetKind
from modules.notification.errors import ImmediateSendDeferredError
from modules.notification.notification_service import NotificationService
from modules.notification.types import SendPushParams, Status
from modules.notification.workers.push_notifications_worker import PushNotificationsWorker
from tests.support.push_service import settings_for
from tests.support.servers import eventually
from tests.support.workflow_runs import delete_schedules

# Port 1 of the loopback address: nothing listens there.
NOWHERE = "127.0.0.1:1"


async def forget_schedules(application: Application) -> None:
    settings = application.settings.temporal
    client = await Client.connect(settings.address, namespace=settings.namespace)
    await delete_schedules(client, settings.task_queue_prefix)


def test_the_row_is_kept_and_delivered_once_temporal_is_back(stack: LocalStack, database_name: str) -> None:
    prefix = {"TEMPORAL_TASK_QUEUE_PREFIX": f"test-{uuid4().hex[:12]}"}
    without = settings_for(stack, database_name, {**prefix, "TEMPORAL_ADDRESS": NOWHERE})
    with closing(bootstrap(without)):
        DeviceTokenService.register_device(
            account_id="account-1", platform=Platform.ANDROID, kind=TargetKind.TOKEN, address=uuid4().hex
        )
        with pytest.raises(ImmediateSendDeferredError) as error:
            NotificationService.send_push_for_account(
                account_id="account-1", params=SendPushParams(title="Code", body="123456"), immediate=True
            )
        notification_id = error.value.notification_id
        assert error.value.code == "temporal_unavailable"
        row = NotificationService.get_push_notification(notification_id=notification_id)
        assert row.status is Status.PENDING
        normal = NotificationService.send_push_for_account(
            account_id="account-1", params=SendPushParams(title="News", body="Later")
        )

    application = bootstrap(settings_for(stack, database_name, prefix), role=Role.WORKER)
    with closing(application):
        counts = ApplicationService.run_scheduled_worker_now(cls=PushNotificationsWorker)
        assert counts.started == 2
        for each in (notification_id, normal):
            eventually(
                lambda each=each: (
                    NotificationService.get_push_notification(notification_id=each).status  # type: ignore[misc]
                    == Status.SENT
                )
            )
        application.loop_thread.run(forget_schedules(application))


def test_a_worker_does_not_start_without_temporal(stack: LocalStack, database_name: str) -> None:
    settings = settings_for(stack, database_name, {"TEMPORAL_ADDRESS": NOWHERE})
    with pytest.raises(UnavailableError) as error:
        bootstrap(settings, role=Role.WORKER)
    assert error.value.code == "temporal_unavailable"
    assert not NotificationService.is_bound(), "what was opened is closed again"

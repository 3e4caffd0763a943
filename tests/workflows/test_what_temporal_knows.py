"""The whole system on real servers; then every history is searched for what must never be in one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from temporalio.client import Client, ScheduleActionExecutionStartWorkflow, WorkflowHistory

from bootstrap import Application, Role, bootstrap
from local_stack.local_stack_service import LocalStack
from modules.application.application_service import ApplicationService
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Platform, TargetKind
from modules.notification.notification_service import NotificationService
from modules.notification.types import AndroidOptions, Priority, SendPushParams, Status
from modules.notification.workers.push_notifications_worker import PushNotificationsWorker
from modules.preference.preference_service import PreferenceService
from tests.support.push_rows import Document
from tests.support.push_service import settings_for
from tests.support.servers import eventually
from tests.support.workflow_runs import delete_schedules, readable

MARK = "xyzzy"
CONTENT = {
    "title": f"{MARK}-title",
    "body": f"{MARK}-body",
    "data key": f"{MARK}-key",
    "data value": f"{MARK}-value",
    "image": f"{MARK}-image",
    "token": f"{MARK}-token",
    "channel": f"{MARK}-channel",
    "idempotency key": f"{MARK}-idempotency",
}
FATES = ("", "UNREGISTERED", "INVALID_ARGUMENT", "UNAVAILABLE*1", "lost-connection*1")


@pytest.fixture
def application(stack: LocalStack, database_name: str) -> Iterator[Application]:
    """A worker process's application in this process, on task queues of its own."""
    over = {"TEMPORAL_TASK_QUEUE_PREFIX": f"test-{uuid4().hex[:12]}"}
    running = bootstrap(settings_for(stack, database_name, over), role=Role.WORKER)
    with closing(running):
        yield running


@pytest.fixture
def rows(stack: LocalStack, database_name: str) -> Iterator[Collection[Document]]:
    with MongoClient[Document](stack.mongodb_uri, tz_aware=True) as client:
        yield client[database_name]["push_notifications"]


def register(account_id: str, fate: str) -> None:
    DeviceTokenService.register_device(
        account_id=account_id,
        platform=Platform.ANDROID,
        kind=TargetKind.TOKEN,
        address=f"{CONTENT['token']}-{uuid4().hex}" + (f"-sim-{fate}" if fate else ""),
    )


def send(account_id: str, *, immediate: bool) -> str:
    return NotificationService.send_push_for_account(
        account_id=account_id,
        params=SendPushParams(
            title=CONTENT["title"],
            body=CONTENT["body"],
            data={CONTENT["data key"]: CONTENT["data value"]},
            image_url=f"https://example.com/{CONTENT['image']}.png",
            category="marketing",
            android=AndroidOptions(channel_id=CONTENT["channel"]),
        ),
        immediate=immediate,
        idempotency_key=f"{CONTENT['idempotency key']}-{uuid4().hex}",
    )


async def histories_of(application: Application, ids: list[str]) -> dict[str, WorkflowHistory]:
    settings = application.settings.temporal
    client = await Client.connect(settings.address, namespace=settings.namespace)
    found = {
        notification_id: await client.get_workflow_handle(
            f"push-notification/{notification_id}"
        ).fetch_history()
        for notification_id in ids
    }
    schedule = client.get_schedule_handle(f"{settings.task_queue_prefix}-push-notifications")
    for action in (await schedule.describe()).info.recent_actions:
        started = action.action
        assert isinstance(started, ScheduleActionExecutionStartWorkflow)
        handle = client.get_workflow_handle(started.workflow_id)
        found[f"scan {handle.id}"] = await handle.fetch_history()
    await delete_schedules(client, settings.task_queue_prefix)
    return found


def test_no_history_holds_content_or_a_token(application: Application, rows: Collection[Document]) -> None:
    ids = []
    for number, fate in enumerate(FATES):
        for priority in Priority:
            account_id = f"account-{number}-{priority}"
            register(account_id, fate)
            ids.append(send(account_id, immediate=priority is Priority.IMMEDIATE))
    PreferenceService.set_preference(account_id="opted-out", category="marketing", allowed=False)
    register("opted-out", "")
    ids.append(send("opted-out", immediate=False))
    broken = send("account-0-normal", immediate=False)
    rows.update_one({"idempotency_key": {"$regex": MARK}, "status": "pending"}, {"$set": {"category": MARK}})
    counts = ApplicationService.run_scheduled_worker_now(cls=PushNotificationsWorker)
    assert counts.started >= len(FATES)

    def all_done() -> bool:
        return all(
            NotificationService.get_push_notification(notification_id=each).timeline[-1].event
            not in ("accepted", "claimed")
            for each in [*ids, broken]
        )

    eventually(all_done, within_seconds=30)
    statuses = {NotificationService.get_push_notification(notification_id=each).status for each in ids}
    assert statuses >= {Status.SENT, Status.FAILED, Status.PENDING}, "the shapes that were asked for ran"

    histories = application.loop_thread.run(histories_of(application, [*ids, broken]))
    assert len(histories) > len(ids) + 1, "the scan's as well"
    for name, history in histories.items():
        text = readable(history)
        assert MARK not in text, name
        field = "already_running" if name.startswith("scan") else "retry_in_seconds"
        assert field in text, "what stands in payloads only is readable, or nothing was searched"


def test_an_immediate_send_is_told_as_soon_as_its_outcome_is_recorded(application: Application) -> None:
    register("account-1", "")
    notification_id = send("account-1", immediate=True)
    row = NotificationService.get_push_notification(notification_id=notification_id)
    assert row.status is Status.SENT


def test_an_immediate_row_is_retried_inside_its_workflow(application: Application) -> None:
    """No scan runs here: only the workflow's own timer can bring it to its end."""
    register("account-1", "503*1+retry-after=1")
    notification_id = send("account-1", immediate=True)
    first = NotificationService.get_push_notification(notification_id=notification_id)
    assert (first.status, first.retry_count) == (Status.PENDING, 1)
    eventually(
        lambda: NotificationService.get_push_notification(notification_id=notification_id).status == "sent",
        within_seconds=30,
    )


def test_bootstrapping_again_in_one_process_gives_the_same_application(application: Application) -> None:
    assert bootstrap(application.settings) is application

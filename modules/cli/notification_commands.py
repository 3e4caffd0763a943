"""`notifications send`, `show`, `list`, `cancel`, `scan`: notifications by hand."""

# ruff: noqa: PLC0415 - what is slow to import waits until a command needs it

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from modules.account.types import account_id_problems
from modules.application.errors import Problem, UnavailableError
from modules.cli.device_commands import AccountOption
from modules.cli.exit_codes import UsageProblemsError
from modules.cli.message_options import (
    AndroidSoundOption,
    ApnsSoundOption,
    BodyOption,
    CategoryOption,
    ClickActionOption,
    DataOption,
    ExpiresInOption,
    ImageUrlOption,
    InterruptionLevelOption,
    MessageOptions,
    PolicyOption,
    SilentOption,
    SoundOption,
    TitleOption,
)
from modules.cli.option_parsing import parse_duration
from modules.cli.output import JsonOption, print_fields, print_table, show, show_fields, told_when_interrupted
from modules.cli.session import application
from modules.notification.types import OutcomePolicy

if TYPE_CHECKING:
    from rich.console import Console

    from modules.config.types import TemporalSettings
    from modules.notification.types import PushNotification

DEFAULT_LIST_LIMIT = 50
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The notification's id.")]
_LIST_COLUMNS = ("id", "status", "priority", "category", "title", "retry_count", "error_type", "created_at")


def send(
    *,
    account: AccountOption,
    title: TitleOption = None,
    body: BodyOption = None,
    silent: SilentOption = False,
    data: DataOption = None,
    immediate: Annotated[
        bool, typer.Option("--immediate", help="At once, without asking preferences.")
    ] = False,
    expires_in: ExpiresInOption = None,
    idempotency_key: Annotated[str | None, typer.Option(help="Sent once under this key.")] = None,
    category: CategoryOption = "general",
    image_url: ImageUrlOption = None,
    click_action: ClickActionOption = None,
    policy: PolicyOption = OutcomePolicy.AT_LEAST_ONCE,
    sound: SoundOption = None,
    android_sound: AndroidSoundOption = None,
    apns_sound: ApnsSoundOption = None,
    interruption_level: InterruptionLevelOption = None,
    app_id: Annotated[str | None, typer.Option("--app", help="Only devices of this FCM app.")] = None,
    _json: JsonOption = False,
) -> None:
    """Send a push notification to every device of an account.

    Exit code 0 says that it is accepted for good; what became of it is its status.
    """
    problems: list[Problem] = []
    message = MessageOptions(
        title=title,
        body=body,
        silent=silent,
        data=data,
        category=category,
        image_url=image_url,
        click_action=click_action,
        policy=policy,
        sound=sound,
        android_sound=android_sound,
        apns_sound=apns_sound,
        interruption_level=interruption_level,
    )
    params = message.to_params(app_id=app_id, problems=problems)
    expiry = None if expires_in is None else parse_duration(expires_in, "expires_in", problems)
    if problems:
        raise UsageProblemsError([*account_id_problems(account), *problems])
    with application("caller" if immediate else "operator") as opened:
        from modules.notification.notification_service import NotificationService

        with told_when_interrupted("the notification"):
            notification_id = NotificationService.send_push_for_account(
                account_id=account,
                params=params,
                immediate=immediate,
                expires_in=expiry,
                idempotency_key=idempotency_key,
            )
        accepted = _standing_of(notification_id, opened.settings.temporal)
    show_fields({"notification_id": notification_id, **accepted})


def _standing_of(notification_id: str, settings: TemporalSettings) -> dict[str, object]:
    """What can be said of a notification that is accepted: no more than why, where it cannot be read now."""
    from modules.notification.notification_service import NotificationService

    try:
        sent = NotificationService.get_push_notification(notification_id=notification_id)
    except UnavailableError as error:
        return {"status": None, "unseen": error.reason}
    return {
        "status": sent.status,
        "error_type": sent.error_type,
        "error_message": sent.error_message,
        "accepted_by_devices": sum(device.message_id is not None for device in sent.devices),
        "devices_tried": len(sent.devices),
        "expires_at": sent.expires_at,
        "web_ui": _web_ui_link(sent, settings),
    }


def show_notification(notification_id: IdArgument, _json: JsonOption = False) -> None:
    """One notification: its status, its devices, and what happened to it."""
    with application() as opened:
        from modules.notification.notification_service import NotificationService

        found = NotificationService.get_push_notification(notification_id=notification_id)
        link = _web_ui_link(found, opened.settings.temporal)
    show({**asdict(found), "web_ui": link}, lambda console: _print_notification(console, found, link))


def list_notifications(
    account: AccountOption,
    limit: Annotated[int, typer.Option(help="At most so many, 1 to 500.")] = DEFAULT_LIST_LIMIT,
    _json: JsonOption = False,
) -> None:
    """The account's notifications, newest first."""
    with application():
        from modules.notification.notification_service import NotificationService

        found = NotificationService.list_push_notifications(account_id=account, limit=limit)
    documents = [_summary(each) for each in found]
    show(
        {"account_id": account, "notifications": documents},
        lambda console: print_table(console, _LIST_COLUMNS, map(_listed, documents)),
    )


def cancel(notification_id: IdArgument, _json: JsonOption = False) -> None:
    """Take a pending notification out of delivery for good."""
    with application():
        from modules.notification.notification_service import NotificationService

        cancelled = NotificationService.cancel_push_notification(notification_id=notification_id)
    show_fields(
        {"notification_id": cancelled.id, "status": cancelled.status, "cancelled": not cancelled.active}
    )


def scan(_json: JsonOption = False) -> None:
    """Run the master worker now and wait for it; needs a `notifications worker`."""
    with application():
        from modules.application.application_service import ApplicationService
        from modules.notification.workers.push_notifications_worker import PushNotificationsWorker

        try:
            counts = ApplicationService.run_scheduled_worker_now(cls=PushNotificationsWorker)
        except UnavailableError as error:
            hint = "does a `notifications worker` run, and was `notifications bootstrap` run once?"
            raise UnavailableError(code=error.code, reason=f"{error.reason}; {hint}") from error
    show_fields(asdict(counts))


def _listed(document: Mapping[str, object]) -> list[object]:
    """A line of the list; a row that was cancelled stays `pending`, which alone would mislead."""
    cancelled = {} if document["active"] else {"status": f"{document['status']}, cancelled"}
    return [{**document, **cancelled}[name] for name in _LIST_COLUMNS]


def _summary(notification: PushNotification) -> dict[str, object]:
    document = asdict(notification)
    del document["devices"], document["timeline"]
    return document


def _print_notification(console: Console, notification: PushNotification, link: str | None) -> None:
    fields = {name: value for name, value in _summary(notification).items() if value is not None}
    print_fields(console, {**fields, **({"web_ui": link} if link else {})})
    if notification.devices:
        columns = ("device", "app", "outcome", "code", "attempts", "message id", "last attempt")
        print_table(
            console,
            columns,
            (
                (
                    *(each.device_id, each.app_id, each.outcome, each.code, each.attempts),
                    *(each.message_id, each.last_attempt_at),
                )
                for each in notification.devices
            ),
        )
    print_table(
        console,
        ("at", "event", "detail"),
        ((each.at, each.event, each.detail) for each in notification.timeline),
    )


def _web_ui_link(notification: PushNotification, temporal: TemporalSettings) -> str | None:
    """Where the Web UI shows the notification's workflow; None when `temporal.ui_url` is not set."""
    if temporal.ui_url is None:
        return None
    from modules.notification.types import PushNotificationWorkerParams
    from modules.notification.workers.push_notification_worker import PushNotificationWorker

    params = PushNotificationWorkerParams(
        notification_id=notification.id, account_id=notification.account_id, priority=notification.priority
    )
    workflow_id = quote(PushNotificationWorker.describe(params).workflow_id, safe="")
    namespace = quote(temporal.namespace, safe="")
    return f"{temporal.ui_url.rstrip('/')}/namespaces/{namespace}/workflows/{workflow_id}"

"""Runs the README's three examples against servers of its own and shows what became of them."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta

from bootstrap import bootstrap
from demo import examples
from demo.screen import Screen
from demo.types import DemoParams, DemoResult
from demo.worker_process import WorkerProcess
from local_stack.local_stack_service import LocalStack, LocalStackService
from local_stack.types import LocalStackParams
from modules.account.account_service import AccountService
from modules.application.app_ids import DEFAULT_APP_ID
from modules.application.application_service import ApplicationService
from modules.application.errors import UnavailableError
from modules.config.config_service import ConfigService
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Device, Platform, TargetKind
from modules.logger.logger_service import LoggerService
from modules.notification.notification_service import NotificationService
from modules.notification.types import Outcome, PushNotification, Status
from modules.notification.workers.push_notifications_worker import PushNotificationsWorker
from simulator.client import SimulatorControl

ACCOUNT_ID = "demo-user"
SENT = (Status.SENT, Status.DELIVERED)
FINAL = (*SENT, Status.FAILED, Status.EXPIRED)
OUTCOME_TIMEOUT_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 0.05


# On servers that the user runs already, the demo's rows and tasks stay apart.
OWN_NAMES = {"MONGODB_DATABASE": "notifications_demo", "TEMPORAL_TASK_QUEUE_PREFIX": "demo"}


class Demo:
    """One run. `close` stops everything that `run` started, however far that came."""

    def __init__(self, params: DemoParams, screen: Screen) -> None:
        self._params = params
        self._screen = screen
        self._open = ExitStack()

    def run(self) -> DemoResult:
        """Raises ServiceError when a server does not start or does not answer."""
        stack, variables = self._start()
        devices = self._register_devices()
        control = self._control(stack)
        since = control.position() if control else 0
        notifications = self._send_all()
        self._screen.results(notifications, devices)
        result = _compare(notifications, devices, control, since)
        self._screen.verdict(result)
        if self._params.keep:
            self._screen.ways_in(variables, ACCOUNT_ID)
        return result

    def close(self) -> None:
        self._open.close()

    def _start(self) -> tuple[LocalStack, dict[str, str]]:
        real = self._params.device_token is not None
        self._screen.step("Starting MongoDB and Temporal" + ("" if real else ", and an FCM simulator"))
        stack = self._open.enter_context(
            LocalStackService.start(
                LocalStackParams(
                    folder=self._params.folder,
                    simulator=None if real else "h2",
                    on_progress=self._screen.progress,
                )
            )
        )
        variables = {**OWN_NAMES, **stack.environment()}
        os.environ.update(variables)
        os.environ.setdefault("LOG_LEVEL", "WARNING")
        self._screen.web_ui(stack.ui_url, ConfigService.load().temporal.namespace)
        self._screen.step("Starting a worker process and bootstrapping this one")
        worker = WorkerProcess(stack.folder / "logs" / "worker.log")
        self._open.callback(worker.stop)
        worker.start()
        settings = ConfigService.load()
        LoggerService.configure(settings.logging)
        application = bootstrap(settings)
        self._open.callback(application.close)
        if real:
            check = NotificationService.check_provider(settings=application.settings, app_id=DEFAULT_APP_ID)
            application.loop_thread.run(check)
        worker.wait_ready()
        return stack, variables

    def _register_devices(self) -> list[Device]:
        token = self._params.device_token
        addresses = (
            {platform: f"demo-{platform.value}-{secrets.token_hex(8)}" for platform in Platform}
            if token is None
            else {Platform.ANDROID: token}
        )
        AccountService.upsert_account(account_id=ACCOUNT_ID)
        devices = [
            DeviceTokenService.register_device(
                account_id=ACCOUNT_ID, platform=platform, kind=TargetKind.TOKEN, address=address
            )
            for platform, address in addresses.items()
        ]
        names = ", ".join(device.platform.value for device in devices)
        self._screen.step(f"Registered {len(devices)} device(s) of account {ACCOUNT_ID}: {names}")
        return devices

    def _control(self, stack: LocalStack) -> SimulatorControl | None:
        if self._params.device_token is not None:
            return None
        return SimulatorControl(stack.simulator.endpoint, stack.simulator.ca_file)

    def _send_all(self) -> list[PushNotification]:
        user = AccountService.get_account(account_id=ACCOUNT_ID)
        appointment_time = datetime.now() + timedelta(hours=1)  # noqa: DTZ005 - local, as in the README
        otp_code = f"{secrets.randbelow(1_000_000):06}"
        ids = [
            self._timed("Example 1, security alert, immediate", lambda: examples.security_alert(user)),
            self._timed(
                "Example 2, appointment reminder, queued with expiry",
                lambda: examples.appointment_reminder(user, appointment_time),
            ),
            self._timed("Example 3, OTP, immediate", lambda: examples.one_time_password(user, otp_code)),
        ]
        self._screen.step("Triggering the schedule of the master worker instead of waiting for it")
        ApplicationService.run_scheduled_worker_now(cls=PushNotificationsWorker)
        deadline = time.monotonic() + OUTCOME_TIMEOUT_SECONDS
        return [_finished(notification_id, deadline) for notification_id in ids]

    def _timed(self, name: str, send: Callable[[], str]) -> str:
        started = time.perf_counter()
        notification_id = send()
        self._screen.step(f"{name}: returned after {(time.perf_counter() - started) * 1000:.0f} ms")
        return notification_id


def _finished(notification_id: str, deadline: float) -> PushNotification:
    while True:
        notification = NotificationService.get_push_notification(notification_id=notification_id)
        if notification.status in FINAL:
            return notification
        if time.monotonic() > deadline:
            raise UnavailableError(
                code="demo_not_delivered",
                reason=f"notification {notification_id} is still {notification.status.value} after"
                f" {OUTCOME_TIMEOUT_SECONDS:.0f} s: {notification.error_message or 'no worker has taken it'}",
            )
        time.sleep(LOOK_AGAIN_SECONDS)


def _compare(
    notifications: list[PushNotification],
    devices: list[Device],
    control: SimulatorControl | None,
    since: int,
) -> DemoResult:
    """Hold the rows against what the provider accepted, message by message."""
    in_rows = sorted(
        device.message_id or ""
        for notification in notifications
        for device in notification.devices
        if device.outcome is Outcome.ACCEPTED
    )
    in_audit = None if control is None else sorted(entry["message_id"] for entry in control.audit(since))
    sent = sum(notification.status in SENT for notification in notifications)
    return DemoResult(
        sent=sent,
        failed=len(notifications) - sent,
        devices=len(devices),
        accepted=len(in_rows),
        audited=None if in_audit is None else len(in_audit),
        agrees=len(in_rows) == len(notifications) * len(devices) and in_audit in (None, in_rows),
    )

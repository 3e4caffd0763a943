"""What the programs of the tests share: they use the service as a library, and say what they did."""

from __future__ import annotations

import json
import os
import time

from bootstrap import Application, bootstrap
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Platform, TargetKind
from modules.notification.notification_service import NotificationService
from modules.notification.types import SendPushParams

ACCOUNT = "account-1"
PARAMS = SendPushParams(title="Appointment", body="Tomorrow at ten")


def start() -> Application:
    """Bootstrap, and register the account's device."""
    application = bootstrap()
    DeviceTokenService.register_device(
        account_id=ACCOUNT,
        platform=Platform.ANDROID,
        kind=TargetKind.TOKEN,
        address=os.environ["HOST_DEVICE_ADDRESS"],
    )
    return application


def send(*, immediate: bool = True) -> str:
    return NotificationService.send_push_for_account(account_id=ACCOUNT, params=PARAMS, immediate=immediate)


def send_both() -> dict[str, object]:
    """One of each kind, and what is said of the immediate one."""
    began = time.monotonic()
    sent = send()
    seconds = time.monotonic() - began
    status = NotificationService.get_push_notification(notification_id=sent).status.value
    return {
        "pid": os.getpid(),
        "immediate": sent,
        "status": status,
        "seconds": seconds,
        "normal": send(immediate=False),
    }


def say(**what: object) -> None:
    """A line that also says when."""
    os.write(1, json.dumps({**what, "at": time.time()}).encode() + b"\n")

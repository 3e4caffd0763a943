"""A process that calls the service, for tests that kill it: registers one device and sends one push."""

from __future__ import annotations

import json
import os
import sys

from bootstrap import bootstrap
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Platform, TargetKind
from modules.notification.notification_service import NotificationService
from modules.notification.types import SendPushParams


def main() -> None:
    """The argument is one JSON object: account_id, address, title, body, immediate, idempotency_key."""
    wanted = json.loads(sys.argv[1])
    bootstrap()
    DeviceTokenService.register_device(
        account_id=wanted["account_id"],
        platform=Platform.ANDROID,
        kind=TargetKind.TOKEN,
        address=wanted["address"],
    )
    notification_id = NotificationService.send_push_for_account(
        account_id=wanted["account_id"],
        params=SendPushParams(title=wanted["title"], body=wanted["body"]),
        immediate=wanted["immediate"],
        idempotency_key=wanted["idempotency_key"],
    )
    os.write(sys.stdout.fileno(), json.dumps({"notification_id": notification_id}).encode() + b"\n")
    os._exit(0)


if __name__ == "__main__":
    main()

"""Rows that are asked for one by one and delivered together, on real MongoDB and the simulator."""

from __future__ import annotations

import asyncio
from typing import cast

from modules.notification.errors import PushNotificationNotFoundError
from modules.notification.notification_service import NotificationService
from modules.notification.types import DeliveryReport, Status
from tests.support.push_service import PushService


def test_an_id_that_is_none_fails_alone(service: PushService) -> None:
    service.register()
    row_id = service.send()

    async def deliver_both() -> list[object]:
        one, other = (
            NotificationService.deliver_grouped_async(notification_ids=[each]) for each in ("no id", row_id)
        )
        return list(await asyncio.gather(one, other, return_exceptions=True))

    failed, delivered = service.loop_thread.run(deliver_both())
    assert isinstance(failed, PushNotificationNotFoundError)
    assert [report.status for report in cast("list[DeliveryReport]", delivered)] == [Status.SENT]

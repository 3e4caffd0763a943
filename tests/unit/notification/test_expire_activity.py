"""The first step of a scan: ends what is too late, then applies receipts, which stand in nobody's way."""

from __future__ import annotations

from typing import cast

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from modules.application.application_service import ApplicationService
from modules.application.errors import UnavailableError
from modules.notification.notification_service import NotificationService
from modules.notification.workers.activities import PushNotificationActivities

SECRET = "projects/demo/messages/secret"


class Service:
    """What the activity asks of the service, in order; `failure` is what receipts come to."""

    def __init__(self, failure: Exception | None) -> None:
        self.asked: list[str] = []
        self._failure = failure

    async def expire_overdue_async(self, *, limit: int) -> int:
        self.asked.append("expire")
        return 3 if len(self.asked) == 1 else 0

    async def apply_left_receipts_async(self) -> int:
        self.asked.append("receipts")
        if self._failure is not None:
            raise self._failure
        return 2


async def expired(service: Service) -> int:
    activities = PushNotificationActivities(
        notifications=cast("type[NotificationService]", service),
        application=ApplicationService,
        page_size=1,
        batch_threshold=1,
    )
    count: int = await ActivityEnvironment().run(activities.expire_overdue)
    return count


async def test_receipts_are_applied_once_all_that_is_too_late_has_ended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="notification_service")
    service = Service(failure=None)
    assert await expired(service) == 3
    assert service.asked == ["expire", "expire", "receipts"]
    assert "push.receipts_applied" in caplog.text


async def test_receipts_that_cannot_be_read_keep_no_scan_from_its_rows(
    caplog: pytest.LogCaptureFixture,
) -> None:
    away = UnavailableError(code="database_unavailable", reason="away")
    assert await expired(Service(failure=away)) == 3
    assert "push.receipts_left" in caplog.text


async def test_what_else_goes_wrong_with_them_reaches_temporal_without_its_text() -> None:
    with pytest.raises(ApplicationError) as failed:
        await expired(Service(failure=KeyError(SECRET)))
    assert SECRET not in str(failed.value)
    assert failed.value.type == "KeyError"

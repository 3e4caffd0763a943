"""A schedule is kept although Temporal is busy for once; what is wrong for good is told at once."""

from __future__ import annotations

from typing import Any, cast

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from modules.application.errors import ConfigurationError, UnavailableError
from modules.application.internals.temporal_gateway import TemporalGateway
from modules.application.internals.worker_schedules import KEEP_TRIES, WorkerSchedules
from modules.application.worker import CronSchedule
from modules.config.config_service import ConfigService
from modules.notification.workers.push_notifications_worker import PushNotificationsWorker


class BusyTemporal:
    """Refuses to create a schedule so many times."""

    def __init__(self, status: RPCStatusCode, times: int) -> None:
        self._status = status
        self._times = times
        self.asked = 0

    async def create_schedule(self, *_: object, **__: object) -> None:
        self.asked += 1
        if self.asked <= self._times:
            raise RPCError("said so", self._status, b"")


async def keep(temporal: BusyTemporal) -> str:
    settings = ConfigService.load({"APP_ENV": "test"}).temporal
    client: Any = temporal
    schedules = WorkerSchedules(TemporalGateway(settings, search_attributes=()), settings, retry_seconds=0)
    return await schedules.ensure(
        cast("Client", client), CronSchedule(PushNotificationsWorker, "*/5 * * * *", update=True)
    )


@pytest.mark.parametrize("status", [RPCStatusCode.CANCELLED, RPCStatusCode.UNAVAILABLE])
async def test_a_busy_temporal_is_asked_again(status: RPCStatusCode) -> None:
    temporal = BusyTemporal(status, KEEP_TRIES - 1)
    assert await keep(temporal)
    assert temporal.asked == KEEP_TRIES


async def test_one_that_stays_busy_is_told_of_with_its_status() -> None:
    temporal = BusyTemporal(RPCStatusCode.RESOURCE_EXHAUSTED, KEEP_TRIES)
    with pytest.raises(UnavailableError, match="RESOURCE_EXHAUSTED"):
        await keep(temporal)
    assert temporal.asked == KEEP_TRIES


@pytest.mark.parametrize("status", [RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.INVALID_ARGUMENT])
async def test_what_is_wrong_for_good_is_told_at_once(
    status: RPCStatusCode,
) -> None:
    temporal = BusyTemporal(status, 1)
    with pytest.raises(ConfigurationError):
        await keep(temporal)
    assert temporal.asked == 1

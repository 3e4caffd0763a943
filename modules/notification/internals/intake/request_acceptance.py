"""Accepts requests: checks them, writes their rows, and runs the worker of an immediate one at once."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Protocol

from modules.account.types import account_id_problems
from modules.application.errors import ConfigurationError, InvalidInputError, UnavailableError
from modules.application.event_loop_thread import is_cut
from modules.application.mongo_database import DatabaseClock
from modules.application.param_rules import ProblemList, is_only_expired
from modules.notification.errors import ImmediateSendDeferredError
from modules.notification.internals.delivery.report_waiters import ReportWaiters
from modules.notification.internals.domain.expiry import resolve_expiry
from modules.notification.internals.fcm_params import FCMParams
from modules.notification.internals.push_notification_writer import NewPush, PushNotificationWriter
from modules.notification.internals.store.push_notification_model import PushNotificationModel
from modules.notification.types import (
    DeliveryReport,
    Priority,
    PushNotificationWorkerParams,
    SendPushParams,
    Status,
)


class RunWorker(Protocol):
    """Starts the individual worker of a row and returns when `outcome` is done or the worker has ended."""

    async def __call__(
        self, *, params: PushNotificationWorkerParams, outcome: asyncio.Future[DeliveryReport]
    ) -> object: ...


class RequestAcceptance:
    """Lives on one event loop. All methods raise UnavailableError when MongoDB does not answer."""

    def __init__(
        self,
        *,
        writer: PushNotificationWriter,
        clock: DatabaseClock,
        waiters: ReportWaiters,
        run_worker: RunWorker,
        link_base: str | None,
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._waiters = waiters
        self._run_worker = run_worker
        self._link_base = link_base

    async def send(
        self,
        *,
        account_id: str,
        params: SendPushParams,
        immediate: bool,
        expires_at: datetime | None,
        expires_in: timedelta | None = None,
        idempotency_key: str | None,
        correlation_id: str | None,
    ) -> str:
        """See NotificationService.send_push_for_account."""
        now = await self._clock.now()
        checked = FCMParams(
            params=params,
            immediate=immediate,
            expires_at=expires_at,
            expires_in=expires_in,
            now=now,
            link_base=self._link_base,
        )
        problems = ProblemList()
        problems.extend(account_id_problems(account_id, field="account_id"))
        for field, key in (("idempotency_key", idempotency_key), ("correlation_id", correlation_id)):
            if key is not None:
                problems.key(key, field)
        problems.extend(list(checked.problems()))
        too_late = is_only_expired(problems)
        if not too_late:
            problems.refuse()
        push = NewPush(
            account_id=account_id,
            params=params,
            priority=Priority.IMMEDIATE if immediate else Priority.NORMAL,
            expires_at=resolve_expiry(expires_at, expires_in, now=now, problems=ProblemList()),
            idempotency_key=idempotency_key,
            correlation_id=correlation_id,
        )
        row = await (self._writer.find_repeated(push) if too_late else self._writer.create(push))
        if row is None:
            raise InvalidInputError(list(problems))
        if immediate and row.active and row.status in (Status.PENDING, Status.PROCESSING):
            await self._deliver_now(row)
        return str(row.id)

    async def _deliver_now(self, row: PushNotificationModel) -> None:
        notification_id = str(row.id)
        with self._waiters.expecting(notification_id) as outcome:
            try:
                params = PushNotificationWorkerParams(
                    notification_id=notification_id, account_id=row.account_id, priority=row.priority.value
                )
                await self._run_worker(params=params, outcome=outcome)
            except (UnavailableError, ConfigurationError) as error:
                raise ImmediateSendDeferredError(notification_id, error) from error
            except asyncio.CancelledError:
                # The row is there, as after the wait: the caller gets its id.
                if not is_cut():
                    raise

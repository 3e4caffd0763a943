"""Decides for each claimed row whom a message goes to now, or why none does; who, may we, what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from bson import ObjectId

from modules.application.errors import UnreadableRecordError
from modules.application.mongo_database import DatabaseClock
from modules.application.run_all import run_all
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Device
from modules.logger.logger_service import get_logger
from modules.notification.internals.delivery.row_outcome import (
    Ending,
    Round,
    broadcast_target,
    device_target,
    ended,
    expired,
    failed,
    nobody_ready,
    ready,
)
from modules.notification.internals.domain.settlement import DeviceProgress, RowProgress, lose_dispatched
from modules.notification.internals.store.push_notification_model import PushNotificationModel
from modules.notification.types import OutcomePolicy, Priority
from modules.preference.preference_service import PreferenceService
from modules.preference.types import Decision

_log = get_logger()


@dataclass(frozen=True, slots=True)
class NextSteps:
    """The rows that are to be sent, those that end without, and those another version has to look at."""

    rounds: list[Round]
    endings: list[Ending]
    unreadable: list[PushNotificationModel] = field(default_factory=list)

    def __add__(self, other: NextSteps) -> NextSteps:
        return NextSteps(
            self.rounds + other.rounds, self.endings + other.endings, self.unreadable + other.unreadable
        )


class RowPreparation:
    """Asks devices and preferences once for a whole page of rows."""

    def __init__(self, clock: DatabaseClock) -> None:
        self._clock = clock

    async def next_steps(self, rows: Sequence[PushNotificationModel]) -> NextSteps:
        """What is to be done with each row now; raises UnavailableError when MongoDB does not answer.

        A device, or preferences, that this version cannot read are a matter of their account's rows alone.
        """
        try:
            return await self._steps(rows)
        except UnreadableRecordError as error:
            if len(rows) == 1:
                _log.error(
                    "row let go for another version",
                    action="push.unreadable_account",
                    notification_id=str(rows[0].id),
                    fields=error.fields,
                )
                return NextSteps([], [], [rows[0]])
        # Found by halves: it is rare, and a page has up to 500 rows.
        half = len(rows) // 2
        return await self.next_steps(rows[:half]) + await self.next_steps(rows[half:])

    async def _steps(self, rows: Sequence[PushNotificationModel]) -> NextSteps:
        devices, decisions, now = await run_all(
            self._devices_of(rows), self._decisions_for(rows), self._clock.now()
        )
        rounds: list[Round] = []
        endings: list[Ending] = []
        for row in rows:
            step = self._prepared(row, devices[row.id], decisions.get((row.account_id, row.category)), now)
            if isinstance(step, Round):
                rounds.append(step)
            else:
                endings.append(step)
        return NextSteps(rounds, endings)

    def _prepared(
        self, row: PushNotificationModel, active: Sequence[Device], decision: Decision | None, now: datetime
    ) -> Ending | Round:
        """What is to be sent for a row, or its end. One row's failure is its own."""
        try:
            return self._next_step(row, active, decision, now)
        except Exception as error:  # noqa: BLE001 - recorded on the row; its text can hold content
            return Ending(row, self._progress_of(row, active, now), partial(failed, error=error))

    async def _devices_of(self, rows: Sequence[PushNotificationModel]) -> dict[ObjectId, list[Device]]:
        found: dict[ObjectId, list[Device]] = {row.id: [] for row in rows if row.broadcast is not None}
        addressed = [row for row in rows if row.broadcast is None]
        for app_id in {row.app_id for row in addressed}:
            wanted = [row for row in addressed if row.app_id == app_id]
            if len(wanted) == 1:
                account_id = wanted[0].account_id
                found[wanted[0].id] = await DeviceTokenService.active_devices_async(
                    account_id=account_id, app_id=app_id
                )
                continue
            by_account = await DeviceTokenService.active_devices_for_async(
                account_ids={row.account_id for row in wanted}, app_id=app_id
            )
            found.update({row.id: by_account[row.account_id] for row in wanted})
        return found

    async def _decisions_for(self, rows: Sequence[PushNotificationModel]) -> dict[tuple[str, str], Decision]:
        questions = {
            (row.account_id, row.category)
            for row in rows
            if row.priority is not Priority.IMMEDIATE and row.broadcast is None
        }
        return await PreferenceService.decisions_for_async(questions=questions) if questions else {}

    def _next_step(
        self, row: PushNotificationModel, active: Sequence[Device], decision: Decision | None, now: datetime
    ) -> Ending | Round:
        progress = self._progress_of(row, active, now)
        if row.expires_at is not None and row.expires_at <= now:
            return Ending(row, progress, expired)
        if decision is not None and not decision.allowed:
            opted_out = partial(
                ended, code="preference_opted_out", reason=decision.reason, event="suppressed"
            )
            return Ending(row, progress, opted_out)
        if row.broadcast is None:
            targets = [device_target(device) for device in active]
        else:
            targets = [broadcast_target(row.broadcast)]
        waiting = progress.open_devices()
        done = progress.settled_ids()
        sendable = [
            target
            for target in targets
            if target.device_id not in done and ready(waiting.get(target.device_id), now)
        ]
        active_ids = frozenset(target.device_id for target in targets)
        if not sendable:
            return Ending(row, progress, partial(nobody_ready, active_ids=active_ids))
        return Round(row, progress, sendable, {device.id: device for device in active}, active_ids)

    def _progress_of(
        self, row: PushNotificationModel, active: Sequence[Device], now: datetime
    ) -> RowProgress:
        progress = RowProgress(
            devices=tuple(DeviceProgress(**device.model_dump()) for device in row.devices),
            retry_count=row.retry_count,
            max_retries=row.max_retries,
            outcome_policy=row.outcome_policy,
            retries_until_expiry=row.priority is Priority.IMMEDIATE and row.expires_at is not None,
            expires_at=row.expires_at,
        )
        if row.claim is None or row.outcome_policy is not OutcomePolicy.AT_MOST_ONCE:
            return progress
        apps = {device.id: device.app_id for device in active}
        return lose_dispatched(progress, row.claim.dispatched, apps, now=now)

"""Delivers rows: claim, who, may we, what, send, outcome, write. The one way a push leaves the service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from bson import ObjectId

from modules.application.errors import ServiceError, UnavailableError
from modules.application.mongo_database import DatabaseClock
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Device
from modules.notification.internals.channels.port import PushChannel
from modules.notification.internals.delivery_metrics import (
    ATTEMPT_SECONDS,
    ATTEMPTS,
    LOST_CLAIMS,
    REFUSED_WRITES,
    SETTLED,
)
from modules.notification.internals.lease import Lease, kept_lease
from modules.notification.internals.outcome_board import OutcomeBoard
from modules.notification.internals.push_notification_reader import PushNotificationReader, row_id_of
from modules.notification.internals.push_notification_writer import (
    PushNotificationWriter,
    SettledRow,
    accepted_count,
)
from modules.notification.internals.row_outcome import (
    Round,
    ended,
    payload_of,
    ready,
    seconds_until,
    settled_by,
    why_not_claimed,
)
from modules.notification.internals.settlement import (
    DeviceProgress,
    Fold,
    RowProgress,
    conclude,
    lose_dispatched,
)
from modules.notification.internals.store.push_notification_model import PushNotificationModel
from modules.notification.types import (
    DeliveryReport,
    Outcome,
    OutcomePolicy,
    Priority,
    PushTarget,
    SendPushResult,
    Status,
    TargetAction,
)
from modules.preference.preference_service import PreferenceService
from modules.preference.types import Decision

WRITE_PATIENCE_SECONDS = 300.0
WRITE_RETRY_SECONDS = 1.0
DRAIN_SECONDS = 15.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLane:
    """What one kind of traffic has to itself: channels with their connections, and its backoff."""

    channels: Mapping[str, PushChannel]
    fold: Fold


class PushDelivery:
    """Delivers lists of rows. Safe to run anywhere, any number of times: the claim decides who sends."""

    def __init__(
        self,
        *,
        writer: PushNotificationWriter,
        reader: PushNotificationReader,
        clock: DatabaseClock,
        lanes: Mapping[Priority, DeliveryLane],
        board: OutcomeBoard,
        owner: str,
        lease_seconds: float,
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._lanes = lanes
        self._board = board
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._running: set[asyncio.Task[list[DeliveryReport]]] = set()

    async def deliver(self, notification_ids: Sequence[str]) -> list[DeliveryReport]:
        """Make one round of attempts for every row that is due; returns one report an id, in order.

        Raises UnavailableError when MongoDB does not answer: then nothing was sent for rows not claimed, and
        what was sent for claimed ones is unknown until their lease runs out.
        """
        # Cancelled between the provider's answer and its record, a message would go out twice.
        task = asyncio.create_task(self._deliver(notification_ids))
        self._running.add(task)
        task.add_done_callback(self._ran)
        return await asyncio.shield(task)

    def _ran(self, task: asyncio.Task[list[DeliveryReport]]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()

    async def drain(self) -> None:
        """Wait, within bounds, for deliveries whose callers are gone already."""
        if self._running:
            await asyncio.wait(self._running, timeout=DRAIN_SECONDS)

    async def _deliver(self, notification_ids: Sequence[str]) -> list[DeliveryReport]:
        row_ids = [row_id_of(notification_id) for notification_id in notification_ids]
        asked = time.monotonic()
        rows = await self._writer.claim(row_ids, owner=self._owner, lease_seconds=self._lease_seconds)
        reports: dict[ObjectId, DeliveryReport] = {}
        if rows:
            LOST_CLAIMS.inc(sum(row.claim is not None and row.claim.recovered for row in rows))
            reports.update(await self._deliver_claimed(rows, asked))
        others = [row_id for row_id in row_ids if row_id not in reports]
        if others:
            reports.update(await self._explain(others))
        for report in reports.values():
            # A row that another claim holds has no outcome yet.
            if report.status is not Status.PROCESSING:
                self._board.announce(report)
        return [reports[row_id] for row_id in row_ids]

    async def _deliver_claimed(
        self, rows: Sequence[PushNotificationModel], asked: float
    ) -> dict[ObjectId, DeliveryReport]:
        async with kept_lease(
            self._writer, rows, lease_seconds=self._lease_seconds, claimed_monotonic=asked
        ) as lease:
            devices, decisions, now = await asyncio.gather(
                self._devices_of(rows), self._decisions_for(rows), self._clock.now()
            )
            tasks = [
                self._deliver_safely(
                    row, devices[row.id], decisions.get((row.account_id, row.category)), now, lease
                )
                for row in rows
            ]
            settled = await asyncio.gather(*tasks)
            # Still under the lease: MongoDB may be away for longer than it lasts.
            return await self._write([each for each in settled if each is not None], lease)

    async def _deliver_safely(
        self,
        row: PushNotificationModel,
        active: Sequence[Device],
        decision: Decision | None,
        now: datetime,
        lease: Lease,
    ) -> SettledRow | None:
        """One row's failure is its own: the others of the page keep their outcomes."""
        try:
            return await self._deliver_row(row, active, decision, now, lease)
        except UnavailableError as error:
            _log.warning(
                "delivery put off", action="push.put_off", notification_id=str(row.id), code=error.code
            )
            return None
        except Exception as error:  # noqa: BLE001 - recorded on the row; its text can hold content
            name = type(error).__name__
            _log.error(
                "delivery failed", action="push.internal_error", notification_id=str(row.id), error=name
            )
            progress = self._progress_of(row, active, now)
            return ended(row, progress, "internal_error", f"delivery failed with {name}", event="failed")

    async def _devices_of(self, rows: Sequence[PushNotificationModel]) -> dict[ObjectId, list[Device]]:
        found: dict[ObjectId, list[Device]] = {}
        for app_id in {row.app_id for row in rows}:
            wanted = [row for row in rows if row.app_id == app_id]
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
        questions = {(row.account_id, row.category) for row in rows if row.priority is not Priority.IMMEDIATE}
        return await PreferenceService.decisions_for_async(questions=questions) if questions else {}

    async def _deliver_row(
        self,
        row: PushNotificationModel,
        active: Sequence[Device],
        decision: Decision | None,
        now: datetime,
        lease: Lease,
    ) -> SettledRow | None:
        progress = self._progress_of(row, active, now)
        if decision is not None and not decision.allowed:
            return ended(row, progress, "preference_opted_out", decision.reason, event="suppressed")
        waiting = progress.open_devices()
        done = progress.settled_ids()
        sendable = [
            device for device in active if device.id not in done and ready(waiting.get(device.id), now)
        ]
        active_ids = frozenset(device.id for device in active)
        if not sendable:
            return self._nothing_to_send(row, progress, active_ids)
        return await self._send(Round(row, progress, sendable, active_ids), now, lease)

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

    def _nothing_to_send(
        self, row: PushNotificationModel, progress: RowProgress, active_ids: frozenset[str]
    ) -> SettledRow:
        if not progress.devices:
            return ended(
                row, progress, "no_active_devices", "the account has no active device", event="undeliverable"
            )
        # What is left waits for its time, or its device is gone.
        devices = tuple(
            device if device.device_id in active_ids else replace(device, not_before=None)
            for device in progress.devices
        )
        settlement = conclude(progress, devices, retry_count=progress.retry_count)
        return SettledRow(
            row=row,
            settlement=settlement,
            event="attempted",
            detail="no device is ready to be tried",
        )

    async def _send(self, round_: Round, now: datetime, lease: Lease) -> SettledRow | None:
        row = round_.row
        marks = row.outcome_policy is OutcomePolicy.AT_MOST_ONCE
        if not lease.held() or (marks and not await self._mark(round_)) or not lease.held():
            # Another worker may own the row by now; sending here as well would be a second message.
            _log.warning("claim lost before sending", action="push.claim_lost", notification_id=str(row.id))
            return None
        lane = self._lanes[row.priority]
        targets = [
            PushTarget(
                device_id=device.id,
                app_id=device.app_id,
                kind=device.kind,
                platform=device.platform,
                address=device.address,
            )
            for device in round_.devices
        ]
        sent = await lane.channels[row.provider].send_push(targets, payload_of(row, now))
        self._count(sent)
        settlement = lane.fold.settle(
            round_.progress,
            sent.results,
            apps={device.id: device.app_id for device in round_.devices},
            active_ids=round_.active_ids,
            now=await self._clock.now(),
        )
        return settled_by(round_, sent, settlement)

    async def _mark(self, round_: Round) -> bool:
        return await self._writer.mark_dispatched(round_.row, [device.id for device in round_.devices])

    async def _retire(self, settled: Sequence[SettledRow]) -> None:
        """Take dead targets out of use. What fails here is found again by the next send."""
        for device, verdict in (each for row in settled for each in row.dead):
            retire = (
                DeviceTokenService.quarantine_async
                if verdict.target_action is TargetAction.QUARANTINE
                else DeviceTokenService.deactivate_dead_async
            )
            try:
                await retire(device_id=device.id, version=device.version, code=verdict.code)
            except ServiceError as error:
                _log.warning(
                    "dead device kept", action="device.retire_failed", device_id=device.id, code=error.code
                )

    def _count(self, sent: SendPushResult) -> None:
        for result in sent.results:
            ATTEMPTS.labels(outcome=result.outcome.value, code=result.classification.code).inc()
            if result.classification.attempted:
                ATTEMPT_SECONDS.observe(result.latency_ms / 1000)

    async def _write(self, settled: Sequence[SettledRow], lease: Lease) -> dict[ObjectId, DeliveryReport]:
        if not settled:
            return {}
        now = await self._clock.now()
        written = await self._settle_patiently(settled, now, lease)
        await self._retire(settled)
        reports: dict[ObjectId, DeliveryReport] = {}
        for each in settled:
            row_id, settlement = each.row.id, each.settlement
            if row_id not in written:
                REFUSED_WRITES.inc()
                _log.warning("write refused by the fence", action="push.fenced", notification_id=str(row_id))
                continue
            SETTLED.labels(status=settlement.status.value).inc()
            accepted = accepted_count(settlement)
            reports[row_id] = DeliveryReport(
                notification_id=str(row_id),
                status=settlement.status,
                note=settlement.error_type or "accepted",
                accepted=accepted,
                failed=len(settlement.devices) - accepted,
                retry_in_seconds=seconds_until(settlement.next_retry_at, now),
            )
        return reports

    async def _settle_patiently(
        self, settled: Sequence[SettledRow], now: datetime, lease: Lease
    ) -> set[ObjectId]:
        """Write outcomes, again and again while MongoDB is away: an outcome not written is sent twice."""
        deadline = time.monotonic() + WRITE_PATIENCE_SECONDS
        while True:
            try:
                with lease.ending():
                    return await self._writer.settle(settled, now=now)
            except UnavailableError:
                if time.monotonic() > deadline:
                    raise
                _log.warning("outcome not written yet", action="push.write_retried", rows=len(settled))
                await asyncio.sleep(WRITE_RETRY_SECONDS)

    async def _explain(self, row_ids: Sequence[ObjectId]) -> dict[ObjectId, DeliveryReport]:
        """Why rows were not delivered by us: finished, cancelled, expired, not due, or another's claim."""
        await self._writer.expire(row_ids)
        now = await self._clock.now()
        reports = {
            row_id: DeliveryReport(notification_id=str(row_id), status=Status.FAILED, note="not_found")
            for row_id in row_ids
        }
        for row in await self._reader.get_many(row_ids):
            reports[row.id] = DeliveryReport(
                notification_id=str(row.id),
                status=row.status,
                note=why_not_claimed(row),
                accepted=sum(device.outcome is Outcome.ACCEPTED for device in row.devices),
                failed=sum(device.outcome is not Outcome.ACCEPTED for device in row.devices),
                retry_in_seconds=seconds_until(row.due_at, now),
            )
        return reports

"""Records what became of claimed rows: outcomes are written with patience, dead devices taken out of use."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime

from bson import ObjectId

from modules.application.errors import ServiceError, StoreError, UnavailableError
from modules.application.mongo_database import DatabaseClock
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import DeviceRetirement, DeviceState
from modules.logger.logger_service import get_logger
from modules.notification.internals.delivery.early_receipts import EarlyReceipts
from modules.notification.internals.delivery.lease import Lease
from modules.notification.internals.delivery.row_outcome import seconds_until
from modules.notification.internals.metrics import REFUSED_WRITES, SETTLED
from modules.notification.internals.push_notification_writer import (
    PushNotificationWriter,
    SettledRow,
    accepted_count,
)
from modules.notification.types import DeliveryReport, TargetAction

WRITE_PATIENCE_SECONDS = 300.0
WRITE_RETRY_SECONDS = 1.0
_RETIRED_STATES = {
    TargetAction.DEACTIVATE: DeviceState.INACTIVE,
    TargetAction.QUARANTINE: DeviceState.QUARANTINED,
}

_log = get_logger()


class OutcomeRecorder:
    """Lives on one event loop. An outcome that is not written is sent again."""

    def __init__(self, writer: PushNotificationWriter, clock: DatabaseClock, receipts: EarlyReceipts) -> None:
        self._writer = writer
        self._clock = clock
        self._receipts = receipts

    async def record(self, settled: Sequence[SettledRow], lease: Lease) -> dict[ObjectId, DeliveryReport]:
        """Write the outcomes; returns a report for each row that was still ours to write.

        Raises UnavailableError when MongoDB stays away for longer than WRITE_PATIENCE_SECONDS.
        """
        if not settled:
            return {}
        now = await self._clock.now()
        written = await self._settle_patiently(settled, now, lease)
        ours = settled if len(written) == len(settled) else self._still_ours(settled, written)
        self._receipts.expect(ours)
        await self._retire(settled)
        for status, count in Counter(each.settlement.status for each in ours).items():
            SETTLED.labels(status=status.value).inc(count)
        reports: dict[ObjectId, DeliveryReport] = {}
        for each in ours:
            settlement = each.settlement
            accepted = accepted_count(settlement)
            reports[each.row.id] = DeliveryReport(
                notification_id=str(each.row.id),
                status=settlement.status,
                note=settlement.error_type or "accepted",
                accepted=accepted,
                failed=len(settlement.devices) - accepted,
                retry_in_seconds=seconds_until(settlement.next_retry_at, now),
            )
        return reports

    def _still_ours(self, settled: Sequence[SettledRow], written: Collection[ObjectId]) -> list[SettledRow]:
        """Those that were still ours to write; of the others it is told."""
        ours = []
        for each in settled:
            if each.row.id in written:
                ours.append(each)
                continue
            REFUSED_WRITES.inc()
            _log.warning("write refused by the fence", action="push.fenced", notification_id=str(each.row.id))
        return ours

    async def _settle_patiently(
        self, settled: Sequence[SettledRow], now: datetime, lease: Lease
    ) -> set[ObjectId]:
        """Write outcomes, again and again while MongoDB is away: an outcome not written is sent twice."""
        deadline = time.monotonic() + WRITE_PATIENCE_SECONDS
        while True:
            try:
                with lease.ending([each.row for each in settled]):
                    return await self._written(settled, now)
            except UnavailableError:
                if time.monotonic() > deadline:
                    raise
                _log.warning("outcome not written yet", action="push.write_retried", rows=len(settled))
                await asyncio.sleep(WRITE_RETRY_SECONDS)

    async def _written(self, settled: Sequence[SettledRow], now: datetime) -> set[ObjectId]:
        """Write outcomes; one that MongoDB refuses costs its own row alone, and that row ends."""
        try:
            return await self._writer.settle(settled, now=now)
        except StoreError as error:
            if len(settled) == 1:
                return await self._end_refused(settled[0], error, now)
        parts = [await self._written([each], now) for each in settled]
        return set().union(*parts)

    async def _end_refused(self, settled: SettledRow, error: StoreError, now: datetime) -> set[ObjectId]:
        row_id = settled.row.id
        _log.error(
            "outcome refused", action="push.outcome_refused", notification_id=str(row_id), reason=error.reason
        )
        try:
            ended = await self._writer.end_refused(settled, reason=error.reason, now=now)
        except StoreError as again:
            # Nothing can be stored, as on a full disk: the claim is lost, and a lost one does not loop.
            _log.error(
                "row cannot be ended",
                action="push.outcome_lost",
                notification_id=str(row_id),
                reason=again.reason,
            )
            return set()
        return {row_id} if ended else set()

    async def _retire(self, settled: Sequence[SettledRow]) -> None:
        """Take dead targets out of use. What fails here is found again by the next send."""
        retirements = [
            DeviceRetirement(
                device_id=device.id,
                version=device.version,
                state=_RETIRED_STATES[verdict.target_action],
                code=verdict.code,
            )
            for row in settled
            for device, verdict in row.dead
        ]
        if not retirements:
            return
        try:
            await DeviceTokenService.retire_devices_async(retirements=retirements)
        except ServiceError as error:
            _log.warning(
                "dead devices kept", action="device.retire_failed", devices=len(retirements), code=error.code
            )

"""Delivers rows: claim, who, may we, what, send, outcome, write. The one way a push leaves the service."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from bson import ObjectId

from modules.application.errors import ServiceError
from modules.application.mongo_database import DatabaseClock
from modules.application.run_all import run_all
from modules.application.steady_clock import steady_seconds
from modules.notification.internals.delivery.attempt_tally import AttemptTally
from modules.notification.internals.delivery.early_receipts import EarlyReceipts
from modules.notification.internals.delivery.lease import kept_lease
from modules.notification.internals.delivery.outcome_recorder import OutcomeRecorder
from modules.notification.internals.delivery.report_waiters import ReportWaiters
from modules.notification.internals.delivery.row_outcome import seconds_until, why_not_claimed
from modules.notification.internals.delivery.row_preparation import RowPreparation
from modules.notification.internals.delivery.row_sending import RowSending
from modules.notification.internals.delivery.send_guard import (
    Batch,
    DeliveryLane,
    dated,
    read_wish,
)
from modules.notification.internals.guards.rate_governor import RateGovernor
from modules.notification.internals.metrics import LOST_CLAIMS
from modules.notification.internals.push_notification_reader import PushNotificationReader
from modules.notification.internals.push_notification_writer import PushNotificationWriter
from modules.notification.internals.store.push_notification_model import PushNotificationModel
from modules.notification.internals.store.rows.row_claim_repository import RowClaimRepository
from modules.notification.types import DeliveryReport, Priority, SendingStop, Status

# A row whose delivery could not be prepared is tried again after this.
UNPREPARED_SECONDS = 1.0
DRAIN_SECONDS = 15.0


class RowDelivery:
    """Delivers lists of rows. Safe to run anywhere, any number of times: the claim decides who sends."""

    def __init__(
        self,
        *,
        writer: PushNotificationWriter,
        claims: RowClaimRepository,
        reader: PushNotificationReader,
        clock: DatabaseClock,
        lanes: Mapping[Priority, DeliveryLane],
        governor: RateGovernor,
        waiters: ReportWaiters,
        owner: str,
        lease_seconds: float,
    ) -> None:
        self._writer = writer
        self._claims = claims
        self._reader = reader
        self._clock = clock
        self._preparation = RowPreparation(clock)
        self._receipts = EarlyReceipts(writer)
        self._recorder = OutcomeRecorder(writer, clock, self._receipts)
        self._sending = RowSending(
            claims=claims, clock=clock, preparation=self._preparation, recorder=self._recorder, lanes=lanes
        )
        self._governor = governor
        self._waiters = waiters
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._running: set[asyncio.Task[list[DeliveryReport]]] = set()

    async def deliver(
        self,
        row_ids: Sequence[ObjectId],
        *,
        tally: AttemptTally | None = None,
        stop: SendingStop | None = None,
    ) -> list[DeliveryReport]:
        """Make one round of attempts for every row that is due; returns one report an id, in order.

        `tally` counts the attempts as they are made. Once `stop` says so nothing more goes out, and what has
        not goes back as it was; so does what has no permit to be sent within MOST_WAIT_SECONDS. Raises
        UnavailableError when MongoDB does not answer: then nothing was sent for rows not claimed, and what
        was sent for claimed ones is unknown until their lease runs out.
        """
        # Cancelled between the provider's answer and its record, a message would go out twice.
        task = asyncio.create_task(self._deliver(row_ids, tally or AttemptTally(), stop))
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
        await self._receipts.close()

    async def _deliver(
        self, row_ids: Sequence[ObjectId], tally: AttemptTally, stop: SendingStop | None
    ) -> list[DeliveryReport]:
        reports = await self._deliver_due(row_ids, tally, stop)
        if len(reports) < len(row_ids) > 1:
            for group in await self._claims.suspects(row_ids):
                reports.update(await self._deliver_due(group, tally, stop))
        if len(reports) < len(row_ids):
            reports.update(await self._explain([row_id for row_id in row_ids if row_id not in reports]))
        for report in reports.values():
            # A row that another claim holds has no outcome yet.
            if report.status is not Status.PROCESSING:
                self._waiters.announce(report)
        return [reports[row_id] for row_id in row_ids]

    async def _deliver_due(
        self, row_ids: Sequence[ObjectId], tally: AttemptTally, stop: SendingStop | None
    ) -> dict[ObjectId, DeliveryReport]:
        asked = steady_seconds()
        rows = await self._claims.claim(row_ids, owner=self._owner, lease_seconds=self._lease_seconds)
        LOST_CLAIMS.inc(sum(row.claim is not None and row.claim.recovered for row in rows))
        return await self._deliver_claimed(rows, asked, tally, stop) if rows else {}

    async def _deliver_claimed(
        self,
        rows: Sequence[PushNotificationModel],
        claimed_at: float,
        tally: AttemptTally,
        stop: SendingStop | None,
    ) -> dict[ObjectId, DeliveryReport]:
        async with kept_lease(
            self._claims, rows, lease_seconds=self._lease_seconds, claimed_at=claimed_at
        ) as lease:
            try:
                # Pauses that other processes know of, and the wish to stop, stand in the way as well.
                (steps, _, _), known_at = await dated(
                    run_all(
                        self._preparation.next_steps(rows), self._governor.learn_pauses(), read_wish(stop)
                    )
                )
            except ServiceError:
                await self._sending.let_go(
                    rows, lease, seconds=UNPREPARED_SECONDS, reason="it could not be prepared"
                )
                raise
            batch = Batch(lease, tally, stop, known_at)
            # Still under the lease: MongoDB may be away for longer than it lasts.
            recorded, sent, let_go = await run_all(
                self._recorder.record([ending.settled() for ending in steps.endings], lease),
                self._sending.send(steps.rounds, batch),
                self._sending.leave_to_others(steps.unreadable, lease),
            )
            return recorded | sent | let_go

    async def _explain(self, row_ids: Sequence[ObjectId]) -> dict[ObjectId, DeliveryReport]:
        """Why rows were not delivered by us: finished, cancelled, expired, not due, or another's claim."""
        await self._writer.expire(row_ids)
        await self._claims.end_lost(row_ids)
        now = await self._clock.now()
        reports = {
            row_id: DeliveryReport(notification_id=str(row_id), status=Status.FAILED, note="not_found")
            for row_id in row_ids
        }
        for row in await self._reader.standings(row_ids):
            reports[row.id] = DeliveryReport(
                notification_id=str(row.id),
                status=row.status,
                note=why_not_claimed(row),
                accepted=row.accepted,
                failed=row.failed,
                retry_in_seconds=seconds_until(row.due_at, now),
            )
        return reports

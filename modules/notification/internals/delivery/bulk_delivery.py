"""Delivers rows that share one content: writes those that are missing, and sends what is due of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from datetime import datetime

from modules.application.mongo_database import DatabaseClock
from modules.notification.bulk_types import BulkReport, PageRows
from modules.notification.internals.delivery.attempt_tally import AttemptTally
from modules.notification.internals.delivery.batch_turns import BatchTurns
from modules.notification.internals.delivery.row_delivery import RowDelivery
from modules.notification.internals.guards.provider_gate import ProviderGate
from modules.notification.internals.guards.rate_governor import RateGovernor
from modules.notification.internals.store.rows.bulk_row_repository import BulkRowRepository
from modules.notification.types import SendingStop

# A breaker can close, and a pause grow, while one waits.
ASK_AGAIN_SECONDS = 1.0


class BulkDelivery:
    """Lives on one event loop. Safe to repeat: rows are written once, and the claim decides who sends."""

    def __init__(
        self,
        *,
        rows: BulkRowRepository,
        delivery: RowDelivery,
        turns: BatchTurns,
        clock: DatabaseClock,
        gates: Collection[ProviderGate],
        governor: RateGovernor,
    ) -> None:
        self._rows = rows
        self._delivery = delivery
        self._turns = turns
        self._clock = clock
        self._gates = gates
        self._governor = governor

    async def deliver(
        self,
        rows: PageRows,
        *,
        expires_at: datetime | None,
        write_until: datetime,
        is_first_visit: bool,
        stop: SendingStop,
    ) -> BulkReport:
        """See BulkService.deliver_async."""
        now, tally = await self._clock.now(), AttemptTally()
        due = await self._rows.write(
            rows,
            expires_at=expires_at,
            now=now,
            add_missing=now < write_until,
            is_first_visit=is_first_visit,
        )
        if due:
            async with self._turns.turn(rows.bulk_id, len(due)):
                await self._delivery.deliver(due, tally=tally, stop=stop)
        return BulkReport(
            due=len(due), attempts=tally.attempts, errors=tally.errors, latencies=tally.latencies
        )

    async def wait_open(self, app_id: str, stopped: asyncio.Event) -> None:
        """Return once neither a pause nor an open breaker holds the app's bulk messages, or at the stop."""
        while not stopped.is_set():
            closed = max(gate.closed_seconds(app_id) for gate in self._gates)
            closed = max(closed, self._governor.paused_seconds(app_id))
            if closed <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(closed, ASK_AGAIN_SECONDS)):
                    await stopped.wait()

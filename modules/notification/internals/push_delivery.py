"""Delivers rows: claim, who, may we, what, send, outcome, write. The one way a push leaves the service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bson import ObjectId

from modules.application.errors import UnavailableError
from modules.application.mongo_database import DatabaseClock
from modules.logger.logger_service import get_logger
from modules.notification.internals.attempt_tally import AttemptTally
from modules.notification.internals.delivery_metrics import LOST_CLAIMS
from modules.notification.internals.lease import Lease, kept_lease
from modules.notification.internals.outcome_board import OutcomeBoard
from modules.notification.internals.outcome_recorder import OutcomeRecorder
from modules.notification.internals.provider_gate import ProviderGate
from modules.notification.internals.push_notification_reader import PushNotificationReader, row_id_of
from modules.notification.internals.push_notification_writer import PushNotificationWriter, SettledRow
from modules.notification.internals.row_outcome import (
    Round,
    failed,
    push_of,
    seconds_until,
    settled_by,
    why_not_claimed,
)
from modules.notification.internals.row_preparation import RowPreparation
from modules.notification.internals.settlement import Fold
from modules.notification.internals.store.push_notification_model import PushNotificationModel
from modules.notification.types import (
    DeliveryReport,
    Outcome,
    OutcomePolicy,
    Priority,
    Status,
)

DRAIN_SECONDS = 15.0

_log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLane:
    """What one kind of traffic has to itself: channels with their connections, and its backoff."""

    channels: Mapping[str, ProviderGate]
    fold: Fold


@dataclass(frozen=True, slots=True)
class _Page:
    """What rows delivered together share."""

    now: datetime
    lease: Lease
    tally: AttemptTally


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
        self._preparation = RowPreparation(clock)
        self._recorder = OutcomeRecorder(writer, clock)
        self._lanes = lanes
        self._board = board
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._running: set[asyncio.Task[list[DeliveryReport]]] = set()

    async def deliver(
        self, notification_ids: Sequence[str], *, tally: AttemptTally | None = None
    ) -> list[DeliveryReport]:
        """Make one round of attempts for every row that is due; returns one report an id, in order.

        `tally` counts the attempts as they are made. Raises UnavailableError when MongoDB does not answer:
        then nothing was sent for rows not claimed, and what was sent for claimed ones is unknown until their
        lease runs out.
        """
        # Cancelled between the provider's answer and its record, a message would go out twice.
        task = asyncio.create_task(self._deliver(notification_ids, tally or AttemptTally()))
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

    async def _deliver(self, notification_ids: Sequence[str], tally: AttemptTally) -> list[DeliveryReport]:
        row_ids = [row_id_of(notification_id) for notification_id in notification_ids]
        asked = time.monotonic()
        rows = await self._writer.claim(row_ids, owner=self._owner, lease_seconds=self._lease_seconds)
        reports: dict[ObjectId, DeliveryReport] = {}
        if rows:
            LOST_CLAIMS.inc(sum(row.claim is not None and row.claim.recovered for row in rows))
            reports.update(await self._deliver_claimed(rows, asked, tally))
        others = [row_id for row_id in row_ids if row_id not in reports]
        if others:
            reports.update(await self._explain(others))
        for report in reports.values():
            # A row that another claim holds has no outcome yet.
            if report.status is not Status.PROCESSING:
                self._board.announce(report)
        return [reports[row_id] for row_id in row_ids]

    async def _deliver_claimed(
        self, rows: Sequence[PushNotificationModel], asked: float, tally: AttemptTally
    ) -> dict[ObjectId, DeliveryReport]:
        async with kept_lease(
            self._writer, rows, lease_seconds=self._lease_seconds, claimed_monotonic=asked
        ) as lease:
            rounds, settled, now = await self._preparation.next_steps(rows)
            settled += await self._send(rounds, _Page(now, lease, tally))
            # Still under the lease: MongoDB may be away for longer than it lasts.
            return await self._recorder.record(settled, lease)

    async def _send(self, rounds: Sequence[Round], page: _Page) -> list[SettledRow]:
        groups: dict[tuple[Priority, str], list[Round]] = {}
        for round_ in rounds:
            groups.setdefault((round_.row.priority, round_.row.provider), []).append(round_)
        settled = await asyncio.gather(
            *(
                self._send_alike(self._lanes[priority], provider, alike, page)
                for (priority, provider), alike in groups.items()
            )
        )
        return [each for group in settled for each in group]

    async def _send_alike(
        self, lane: DeliveryLane, provider: str, rounds: Sequence[Round], page: _Page
    ) -> list[SettledRow]:
        """Send what one channel of one lane carries, and fold the results."""
        channel = lane.channels.get(provider)
        if channel is None:
            return [failed(round_.row, round_.progress, KeyError(provider)) for round_ in rounds]
        rounds = await self._marked(rounds, page.lease)
        pushes = [push_of(round_, page.now) for round_ in rounds]
        results = await channel.send_each(pushes, may_send=page.lease.held)
        page.tally.count(results)
        settled_at = await self._clock.now()
        settled = []
        for round_, sent in zip(rounds, results, strict=True):
            try:
                settlement = lane.fold.settle(
                    round_.progress,
                    sent.results,
                    apps={target.device_id: target.app_id for target in round_.targets},
                    active_ids=round_.active_ids,
                    now=settled_at,
                )
                settled.append(settled_by(round_, sent, settlement))
            except Exception as error:  # noqa: BLE001 - recorded on the row; its text can hold content
                settled.append(failed(round_.row, round_.progress, error))
        return settled

    async def _marked(self, rounds: Sequence[Round], lease: Lease) -> list[Round]:
        """Note whom messages are about to be handed over for, where they must never go out twice."""
        marked = await asyncio.gather(*(self._is_marked(round_) for round_ in rounds))
        kept = [round_ for round_, mark in zip(rounds, marked, strict=True) if mark and lease.held()]
        if len(kept) < len(rounds):
            # Another worker may own these rows by now; sending here as well would be a second message.
            _log.warning("claim lost before sending", action="push.claim_lost", rows=len(rounds) - len(kept))
        return kept

    async def _is_marked(self, round_: Round) -> bool:
        if round_.row.outcome_policy is not OutcomePolicy.AT_MOST_ONCE:
            return True
        device_ids = [target.device_id for target in round_.targets]
        try:
            return await self._writer.mark_dispatched(round_.row, device_ids)
        except UnavailableError as error:
            notification_id = str(round_.row.id)
            _log.warning(
                "delivery put off", action="push.put_off", notification_id=notification_id, code=error.code
            )
            return False

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

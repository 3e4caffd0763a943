"""Sends rounds in portions, as permits come; what is known of their targets is looked at before each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime

from bson import ObjectId

from modules.application.errors import ServiceError, UnavailableError
from modules.application.mongo_database import DatabaseClock
from modules.application.run_all import run_all
from modules.application.steady_clock import steady_seconds
from modules.logger.logger_service import get_logger
from modules.notification.internals.delivery.lease import Lease
from modules.notification.internals.delivery.outcome_recorder import OutcomeRecorder
from modules.notification.internals.delivery.row_outcome import Ending, Round, payload_of
from modules.notification.internals.delivery.row_preparation import RowPreparation
from modules.notification.internals.delivery.row_under_way import (
    Part,
    Piece,
    RowUnderWay,
    portion_of,
    settled_row,
)
from modules.notification.internals.delivery.send_guard import (
    LOOK_AGAIN_SECONDS,
    Batch,
    DeliveryLane,
    PortionGuard,
    SendStream,
    dated,
    read_wish,
)
from modules.notification.internals.domain.deferrals import (
    CLAIM_LOST,
    LET_GO_SECONDS,
    RATE_WAIT,
    STALE,
    STOPPED,
    UNMARKED,
    UNREADABLE,
    UNSEEN,
)
from modules.notification.internals.guards.provider_gate import ProviderGate
from modules.notification.internals.guards.target_blame import TargetBlame
from modules.notification.internals.push_notification_writer import SettledRow
from modules.notification.internals.store.push_notification_model import PushNotificationModel
from modules.notification.internals.store.rows.row_claim_repository import RowClaimRepository
from modules.notification.internals.store.rows.row_claims import LET_GO
from modules.notification.types import (
    ORDINARY_FLOW,
    Classification,
    DeliveryReport,
    Priority,
    Push,
    PushTarget,
    SendPushParams,
    SendPushResult,
    Status,
    TargetResult,
)

# Then what has no permit yet goes back: its claim is not for waiting.
MOST_WAIT_SECONDS = 60.0
WAIT_AGAIN_SECONDS = 1.0
_log = get_logger()


class RowSending:
    """Sends what was prepared and has its outcomes recorded. Lives on one event loop."""

    def __init__(
        self,
        *,
        claims: RowClaimRepository,
        clock: DatabaseClock,
        preparation: RowPreparation,
        recorder: OutcomeRecorder,
        lanes: Mapping[Priority, DeliveryLane],
    ) -> None:
        self._claims = claims
        self._clock = clock
        self._preparation = preparation
        self._recorder = recorder
        self._lanes = lanes
        self._blame = TargetBlame()

    async def send(self, rounds: Sequence[Round], batch: Batch) -> dict[ObjectId, DeliveryReport]:
        """Make one attempt at every target; returns a report for each row that was still ours.

        Apps, and what shares a rate, wait for their permits side by side.
        """
        streams: dict[tuple[DeliveryLane, ProviderGate, str, str], list[Part]] = {}
        unknown: list[Round] = []
        for round_ in rounds:
            lane = self._lanes[round_.row.priority]
            channel = lane.channels.get(round_.row.provider)
            if channel is None:
                unknown.append(round_)
                continue
            row = RowUnderWay(round_, known_at=batch.known_at)
            flow = _flow_of(round_)
            for app_id, targets in _by_app(round_.targets).items():
                streams.setdefault((lane, channel, app_id, flow), []).append(Part(row, targets))
                row.parts += 1
        found = await run_all(
            *(self._send_stream(SendStream(*shared), parts, batch) for shared, parts in streams.items()),
            self.let_go(
                [round_.row for round_ in unknown],
                batch.lease,
                seconds=LET_GO_SECONDS,
                reason="this version knows no such provider",
            ),
        )
        return {row_id: report for reports in found for row_id, report in reports.items()}

    async def _send_stream(
        self, stream: SendStream, waiting: list[Part], batch: Batch
    ) -> dict[ObjectId, DeliveryReport]:
        reports: dict[ObjectId, DeliveryReport] = {}
        disputed: list[RowUnderWay] = []
        give_up_at = steady_seconds() + MOST_WAIT_SECONDS
        while waiting:
            granted = await self._granted(stream, waiting, batch, give_up_at)
            if isinstance(granted, Classification):
                for part in waiting:
                    part.row.put_off(part.take(len(part.targets)), granted)
            elif granted:
                await self._send_portion(stream, portion_of(waiting, granted), batch)
            finished, waiting = _parted(waiting)
            if waiting or disputed:
                # What others answer says whose fault a refusal is.
                finished += disputed
                disputed = [row for row in finished if waiting and self._is_undecided(row)]
                finished = [row for row in finished if row not in disputed]
            if finished:
                reports |= await self._finish(stream, finished, batch)
        return reports

    async def _granted(
        self, stream: SendStream, waiting: Sequence[Part], batch: Batch, give_up_at: float
    ) -> int | Classification:
        """How many messages may go out now, 0 for none yet, or why none will."""
        if not batch.lease.held():
            return CLAIM_LOST
        if batch.stop is not None and batch.stop.is_set():
            return STOPPED
        if steady_seconds() >= give_up_at:
            return RATE_WAIT
        wanted = sum(len(part.targets) for part in waiting)
        granted = await stream.lane.permits.take(stream.app_id, flow=stream.flow, wanted=wanted)
        if granted == 0:
            # Not knowing stops nothing here: it is looked at again before anything goes out.
            with suppress(ServiceError):
                await read_wish(batch.stop)
        return granted

    async def _send_portion(self, stream: SendStream, portion: list[Piece], batch: Batch) -> None:
        """Send to these targets; puts back those that could not go out in time."""
        permits = sum(len(targets) for _, targets in portion)
        portion = await self._marked(portion)
        portion = await self._looked_again(portion, batch)
        pushes, portion = _pushes_of(portion, await self._clock.now())
        known_at = min((part.row.known_at for part, _ in portion), default=batch.known_at)
        guard = PortionGuard(stream, batch, known_at, self._clock)
        sent = await stream.channel.send_each(pushes, guard=guard)
        self._note(pushes, sent, batch)
        used = 0
        for (part, targets), answer in zip(portion, sent, strict=True):
            stale = []
            for target, result in zip(targets, answer.results, strict=True):
                if result.classification is STALE:
                    stale.append(target)
                else:
                    part.row.results.append((target, result))
                used += result.classification.attempted
            if stale:
                part.targets = stale + part.targets
        stream.lane.permits.settle(stream.app_id, flow=stream.flow, granted=permits, used=used)

    async def _marked(self, portion: list[Piece]) -> list[Piece]:
        """Note whom messages are about to be handed over for, where they must never go out twice."""
        if not any(part.row.is_marked for part, _ in portion):
            return portion
        marks = await run_all(*(self._mark(part.row, targets) for part, targets in portion))
        return [piece for piece, marked in zip(portion, marks, strict=True) if marked]

    async def _mark(self, row: RowUnderWay, targets: list[PushTarget]) -> bool:
        if not row.is_marked:
            return True
        notification_id = str(row.round.row.id)
        try:
            if await self._claims.mark_dispatched(row.round.row, [each.device_id for each in targets]):
                return True
        except ServiceError as error:
            _log.warning(
                "delivery put off", action="push.put_off", notification_id=notification_id, code=error.code
            )
            row.put_off(targets, UNMARKED)
            return False
        # Another worker may own the row by now; sending here as well would be a second message.
        _log.warning("claim lost before sending", action="push.claim_lost", notification_id=notification_id)
        row.is_lost = True
        return False

    async def _looked_again(self, portion: list[Piece], batch: Batch) -> list[Piece]:
        """Leave out what is not so any more: devices that went, what has expired, what nobody wants now."""
        oldest = steady_seconds() - LOOK_AGAIN_SECONDS
        rows = {id(part.row): part.row for part, _ in portion if part.row.known_at < oldest}
        try:
            await self._look(list(rows.values()), batch)
        except ServiceError as error:
            _log.warning("targets not looked up", action="push.unseen", rows=len(rows), code=error.code)
            for part, targets in portion:
                part.row.put_off(targets, UNSEEN)
            return []
        # Also where nothing was asked now: another stream may have looked at the same row.
        left: list[Piece] = []
        for part, targets in portion:
            if part.row.is_unreadable:
                part.row.put_off([*targets, *part.take(len(part.targets))], UNREADABLE)
                continue
            left.append((part, part.row.keep_reachable(targets)))
            part.targets = part.row.reachable(part.targets)
        return [piece for piece in left if piece[1]]

    async def _look(self, rows: Sequence[RowUnderWay], batch: Batch) -> None:
        if not rows:
            return
        (_, steps), known_at = await dated(
            run_all(read_wish(batch.stop), self._preparation.next_steps([row.round.row for row in rows]))
        )
        found: dict[ObjectId, Round | Ending] = {round_.row.id: round_ for round_ in steps.rounds}
        found.update((ending.row.id, ending) for ending in steps.endings)
        for row in rows:
            row.take_over(found.get(row.round.row.id))
            row.known_at = known_at

    async def _finish(
        self, stream: SendStream, rows: Sequence[RowUnderWay], batch: Batch
    ) -> dict[ObjectId, DeliveryReport]:
        """Record what became of rows that nothing is left to send of."""
        now = await self._clock.now()
        settled: list[SettledRow] = []
        no_room: list[PushNotificationModel] = []
        unreadable: list[PushNotificationModel] = []
        for row in rows:
            if row.ending is not None or (row.results and not row.may_go_back()):
                self._judge(row, batch)
                settled.append(settled_row(row, stream.lane.fold, now))
            elif not row.is_lost:
                (unreadable if row.is_unreadable else no_room).append(row.round.row)
        recorded, waiting, left = await run_all(
            self._recorder.record(settled, batch.lease),
            self.let_go(
                no_room, batch.lease, seconds=WAIT_AGAIN_SECONDS, reason="there was no room to send it"
            ),
            self.leave_to_others(unreadable, batch.lease),
        )
        return recorded | waiting | left

    def _note(self, pushes: Sequence[Push], sent: Sequence[SendPushResult], batch: Batch) -> None:
        """Count what is clear; a refusal that may be its target's own fault counts once it is judged."""
        clear: list[TargetResult] = []
        for push, answer in zip(pushes, sent, strict=True):
            for target, result in zip(push.targets, answer.results, strict=True):
                spike = self._blame.note(push.payload.content_key, target, result)
                if spike is not None:
                    _log.error("a content is refused by many", action="push.refused_by_many", **asdict(spike))
                # What was too old to go out is no result yet.
                verdict = result.classification
                if verdict.suspect is None and verdict is not STALE:
                    clear.append(result)
        batch.tally.count([SendPushResult(results=tuple(clear))])

    def _is_undecided(self, row: RowUnderWay) -> bool:
        key = row.round.row.content_fingerprint
        return any(self._blame.is_undecided(key, target, result) for target, result in row.results)

    def _judge(self, row: RowUnderWay, batch: Batch) -> None:
        """Say of the row's refusals whose fault they are, and count them as that."""
        key = row.round.row.content_fingerprint
        suspects = []
        for place, (target, result) in enumerate(row.results):
            if result.classification.suspect is not None:
                judged = self._blame.judged(key, target, result)
                row.results[place] = target, judged
                suspects.append(judged)
        if suspects:
            batch.tally.count([SendPushResult(results=tuple(suspects))])

    async def leave_to_others(
        self, rows: Sequence[PushNotificationModel], lease: Lease
    ) -> dict[ObjectId, DeliveryReport]:
        """Give rows back whose account another version has to read."""
        return await self.let_go(rows, lease, seconds=LET_GO_SECONDS, reason=UNREADABLE.reason)

    async def let_go(
        self, rows: Sequence[PushNotificationModel], lease: Lease, *, seconds: float, reason: str
    ) -> dict[ObjectId, DeliveryReport]:
        """Give rows back as they were, for another time or another process; `reason` is for its timeline.

        What MongoDB does not take now comes back when its lease ends.
        """
        if not rows:
            return {}
        try:
            with lease.ending(rows):
                await self._claims.let_go(rows, seconds=seconds, reason=reason)
        except UnavailableError as error:
            _log.warning("claims not given back", action="push.not_let_go", rows=len(rows), code=error.code)
            return {}
        return {
            row.id: DeliveryReport(
                notification_id=str(row.id),
                status=Status.PENDING,
                note=LET_GO,
                retry_in_seconds=seconds,
            )
            for row in rows
        }


def _parted(parts: Sequence[Part]) -> tuple[list[RowUnderWay], list[Part]]:
    """The rows that nothing is left to send of, and the parts of which something is."""
    done: list[RowUnderWay] = []
    waiting: list[Part] = []
    for part in parts:
        if part.targets:
            waiting.append(part)
            continue
        part.row.parts -= 1
        if part.row.parts == 0:
            done.append(part.row)
    return done, waiting


def _pushes_of(portion: Sequence[Piece], now: datetime) -> tuple[list[Push], list[Piece]]:
    """What goes out now, and the pieces it is for: a row of which nothing can be made fails by itself."""
    pushes: list[Push] = []
    pieces: list[Piece] = []
    # Rows of one content, as those of a campaign, share what is made of it.
    contents: dict[str | None, SendPushParams] = {}
    for part, targets in portion:
        row = part.row.round.row
        key = row.content_fingerprint
        try:
            payload = payload_of(row, now, contents.get(key))
        except Exception as error:  # noqa: BLE001 - recorded on the row; its text can hold content
            part.row.fail(error)
            part.targets = []
        else:
            if key is not None:
                contents[key] = payload.params
            pushes.append(Push(targets=targets, payload=payload))
            pieces.append((part, targets))
    return pushes, pieces


def _by_app(targets: Sequence[PushTarget]) -> dict[str, list[PushTarget]]:
    by_app: dict[str, list[PushTarget]] = {}
    for target in targets:
        by_app.setdefault(target.app_id, []).append(target)
    return by_app


def _flow_of(round_: Round) -> str:
    campaign = round_.row.campaign
    return ORDINARY_FLOW if campaign is None else f"campaign/{campaign.id}"

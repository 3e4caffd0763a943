"""Writes push notifications: new rows, outcomes, receipts, cancels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from bson import ObjectId

from modules.application.errors import UnavailableError
from modules.application.event_loop_thread import told_if_cut
from modules.application.mongo_database import DatabaseClock
from modules.device_token.types import Device
from modules.notification.errors import IdempotencyKeyConflictError, NotificationUnconfirmedError
from modules.notification.internals.domain.settlement import DeviceProgress, Settlement
from modules.notification.internals.store.push_notification_model import (
    EventModel,
    PlatformOptionsModel,
    PushNotificationModel,
    TransitionModel,
)
from modules.notification.internals.store.push_notification_repository import PushNotificationRepository
from modules.notification.internals.store.rows.row_outcomes import RowChange
from modules.notification.types import Classification, Outcome, Priority, SendPushParams, Status

# Added to the options of Android and APNs after rows with fingerprints had been written.
LATER_OPTIONS: Final = frozenset({"click_action", "category", "interruption_level"})

OUTCOME_REFUSED = "outcome_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPush:
    """A request for one row, already validated."""

    account_id: str
    params: SendPushParams
    priority: Priority
    expires_at: datetime | None = None
    idempotency_key: str | None = None
    correlation_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledRow:
    """A claimed row with its next state, the tokens that were tried, and the devices found dead."""

    row: PushNotificationModel
    settlement: Settlement
    event: str
    detail: str
    tokens_tried: Sequence[str] = ()
    dead: Sequence[tuple[Device, Classification]] = ()


class PushNotificationWriter:
    """Every write is conditional on the row's status and fence. Raises UnavailableError without MongoDB."""

    def __init__(self, repository: PushNotificationRepository, clock: DatabaseClock) -> None:
        self._repository = repository
        self._clock = clock

    async def create(self, push: NewPush) -> PushNotificationModel:
        """Store a new `pending` row, durable on a majority before this returns.

        With an idempotency key that the account used before: the row of then, or IdempotencyKeyConflictError
        when the content differs. Raises NotificationUnconfirmedError where the row may be stored.
        """
        row = new_row(push, await self._clock.now())
        if await self._inserted(row):
            return row
        existing = await self.find_repeated(push)
        if existing is None:
            raise IdempotencyKeyConflictError
        return existing

    async def _inserted(self, row: PushNotificationModel) -> bool:
        with told_if_cut(lambda: NotificationUnconfirmedError(str(row.id))):
            try:
                return await self._repository.insert(row)
            except UnavailableError as error:
                if error.may_have_happened:
                    raise NotificationUnconfirmedError(str(row.id)) from error
                raise

    async def find_repeated(self, push: NewPush) -> PushNotificationModel | None:
        """The row that an earlier request with this key stored; None when the key is new, or not given.

        Raises IdempotencyKeyConflictError when the content differs, and NotificationUnconfirmedError where no
        majority confirms that earlier row either.
        """
        if push.idempotency_key is None:
            return None
        existing = await self._repository.find_by_key(push.account_id, push.idempotency_key)
        if existing is not None and existing.content_fingerprint != content_fingerprint(
            _with_plain_mappings(push)
        ):
            raise IdempotencyKeyConflictError
        return existing if existing is None or await self._is_confirmed(existing.id) else None

    async def _is_confirmed(self, row_id: ObjectId) -> bool:
        """Whether a majority has the row; False for one that went with a former primary."""
        with told_if_cut(lambda: NotificationUnconfirmedError(str(row_id))):
            try:
                return await self._repository.confirm(row_id)
            except UnavailableError as error:
                raise NotificationUnconfirmedError(str(row_id)) from error

    async def settle(self, settled: Sequence[SettledRow], *, now: datetime) -> set[ObjectId]:
        """Write the next states; returns the ids that were still ours to write."""
        return await self._repository.apply([_change(each, now) for each in settled])

    async def expire(self, row_ids: Sequence[ObjectId]) -> int:
        """End those rows that are past `expires_at`; returns how many."""
        return await self._repository.expire(row_ids, now=await self._clock.now())

    async def expire_overdue(self, *, limit: int) -> int:
        """End at most `limit` rows past `expires_at` wherever they are; returns how many."""
        return await self._repository.expire_overdue(now=await self._clock.now(), limit=limit)

    async def cancel(self, row_id: ObjectId) -> bool:
        """Take a pending row out of delivery; False when it is not pending any more."""
        return await self._repository.cancel(row_id)

    async def end_refused(self, settled: SettledRow, *, reason: str, now: datetime) -> bool:
        """End a row whose outcome MongoDB refuses, with as little as says so; False if it has moved on.

        What it was accepted by is not recorded: its sends are unknown, as those of a lost claim.
        """
        return bool(await self._repository.apply([_refused_change(settled, reason, now)]))

    async def record_message_receipt(self, message_id: str) -> bool:
        """Record a receipt by the provider's name of the message; False unless its row can still get it."""
        return await self._repository.record_message_receipt(message_id)

    async def record_receipt(self, row_id: ObjectId) -> bool:
        """Record a receipt, also one that came before its row was `sent`; False where nothing can get it."""
        return await self._repository.record_receipt(row_id)

    async def apply_receipts(self, written: Sequence[SettledRow]) -> None:
        """Apply receipts that came before these outcomes, which are written."""
        if await self._repository.has_receipts():
            await self._repository.apply_receipts(_named_by_receipts(written))

    async def apply_left_receipts(self) -> int:
        """Apply early receipts that a lost process left behind; returns how many."""
        return await self._repository.apply_left_receipts()


def content_fingerprint(push: NewPush) -> str:
    """SHA-256 over what makes two requests the same; two with one key must agree in it.

    Not `expires_at`: a caller who tries again reckons it from its new now. Options that came later count
    where they are used: a key may be repeated to a newer release.
    """
    said = asdict(push.params)
    said |= {place: _used(said[place]) for place in ("android", "apns")}
    content = {"params": said, "priority": push.priority}
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=True, default=dict)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _used(options: dict[str, Any]) -> dict[str, Any]:
    """The options of one platform as they were recorded before there were others, and those others in use."""
    return {name: value for name, value in options.items() if value is not None or name not in LATER_OPTIONS}


def _with_plain_mappings(push: NewPush) -> NewPush:
    """`asdict` copies dicts only; callers may hand over any Mapping."""
    params = push.params
    apns = replace(params.apns, headers=dict(params.apns.headers))
    return replace(push, params=replace(params, data=dict(params.data), apns=apns))


def new_row(push: NewPush, now: datetime) -> PushNotificationModel:
    """The `pending` row of a request, not stored yet."""
    push = _with_plain_mappings(push)
    params = push.params
    return PushNotificationModel(
        id=ObjectId(),
        account_id=push.account_id,
        priority=push.priority,
        title=params.title,
        body=params.body,
        data=dict(params.data),
        image_url=params.image_url,
        click_action=params.click_action,
        category=params.category,
        app_id=params.app_id,
        options=PlatformOptionsModel(
            android=_used(asdict(params.android)),
            apns=_used(asdict(params.apns)),
            webpush=asdict(params.webpush),
            analytics_label=params.analytics_label,
        ),
        outcome_policy=params.outcome_policy,
        expires_at=push.expires_at,
        idempotency_key=push.idempotency_key,
        content_fingerprint=content_fingerprint(push),
        correlation_id=push.correlation_id,
        due_at=now,
        last_transition=TransitionModel(source=None, target=Status.PENDING),
        events=[EventModel(at=now, event="accepted", detail=f"accepted as {push.priority.value}")],
        created_at=now,
        updated_at=now,
    )


def _change(settled: SettledRow, now: datetime) -> RowChange:
    row, settlement = settled.row, settled.settlement
    message_ids = [device.message_id for device in settlement.devices if device.message_id]
    pending = settlement.status is Status.PENDING
    fields: dict[str, object] = {
        "devices": [_device_record(device) for device in settlement.devices],
        "provider_message_ids": message_ids,
        "device_tokens_used": _united(row.device_tokens_used, settled.tokens_tried),
        "invalid_tokens": _united(row.invalid_tokens, [device.address for device, _ in settled.dead]),
        "retry_count": settlement.retry_count,
        "next_retry_at": settlement.next_retry_at,
        "error_type": settlement.error_type,
        "error_message": settlement.error_message,
    }
    if settlement.status is Status.SENT:
        fields["sent_at"] = now
    events = [{"at": now, "event": settled.event, "detail": settled.detail}]
    if pending and settlement.next_retry_at is not None:
        wait = max(timedelta(0), settlement.next_retry_at - now)
        events.append(
            {"at": now, "event": "retry_planned", "detail": f"next attempt in {wait.total_seconds():.1f} s"}
        )
    return RowChange(
        id=row.id,
        fence=row.fence,
        status=settlement.status,
        fields=fields,
        due_at=settlement.next_retry_at if pending and row.campaign is None else None,
        finished_at=None if pending else now,
        events=events,
    )


def _named_by_receipts(written: Sequence[SettledRow]) -> dict[str, ObjectId]:
    """The rows that can have receipts, by the ids that receipts name them by."""
    sent = [each for each in written if each.settlement.status is Status.SENT]
    rows = {str(each.row.id): each.row.id for each in sent}
    return rows | {
        device.message_id: each.row.id
        for each in sent
        for device in each.settlement.devices
        if device.message_id
    }


def _refused_change(settled: SettledRow, reason: str, now: datetime) -> RowChange:
    accepted = accepted_count(settled.settlement) > 0
    fields: dict[str, object] = {
        "lost_claims": settled.row.lost_claims + 1,
        "next_retry_at": None,
        "error_type": OUTCOME_REFUSED,
        "error_message": reason,
    }
    if accepted:
        fields["sent_at"] = now
    return RowChange(
        id=settled.row.id,
        fence=settled.row.fence,
        status=Status.SENT if accepted else Status.FAILED,
        fields=fields,
        due_at=None,
        finished_at=now,
        events=[{"at": now, "event": OUTCOME_REFUSED, "detail": reason}],
    )


def _device_record(device: DeviceProgress) -> dict[str, object]:
    """The fields of DeviceRecordModel, without the cost of making one for every device of a page."""
    record: dict[str, object] = {
        "device_id": device.device_id,
        "app_id": device.app_id,
        "outcome": device.outcome.value,
        "code": device.code,
        "reason": device.reason,
        "attempts": device.attempts,
        "retries": device.retries,
        "unknown_attempts": device.unknown_attempts,
        "message_id": device.message_id,
        "last_attempt_at": device.last_attempt_at,
        "not_before": device.not_before,
    }
    if device.unreached_since is not None:
        record["unreached_since"] = device.unreached_since
    return record


def _united(former: Sequence[str], added: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*former, *added]))


def accepted_count(settlement: Settlement) -> int:
    """Devices that accepted, over all rounds."""
    return sum(device.outcome is Outcome.ACCEPTED for device in settlement.devices)

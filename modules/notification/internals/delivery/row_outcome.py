"""Turns one row's round of attempts into what is written about it and what is reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from modules.device_token.types import Device
from modules.logger.logger_service import get_logger
from modules.notification.internals.domain.settlement import (
    EXPIRED_CODE,
    DeviceProgress,
    RowProgress,
    Settlement,
    conclude,
)
from modules.notification.internals.push_notification_writer import SettledRow
from modules.notification.internals.store.push_notification_model import (
    BroadcastModel,
    PushNotificationModel,
)
from modules.notification.internals.store.rows.row_claims import LET_GO
from modules.notification.internals.store.rows.row_standing import RowStanding
from modules.notification.types import (
    Classification,
    Outcome,
    Priority,
    PushPayload,
    PushTarget,
    SendPushParams,
    Status,
    TargetAction,
    TargetResult,
)

# A message goes out on what was so within this time: a device's account, a wish, the time that is left.
FRESH_SECONDS = 0.7


@dataclass(frozen=True, slots=True)
class Round:
    """One row on its way: its progress, the targets a message goes to now, and the devices they stand for.

    A broadcast stands for no device; its target is its own.
    """

    row: PushNotificationModel
    progress: RowProgress
    targets: Sequence[PushTarget]
    devices: Mapping[str, Device]
    active_ids: frozenset[str]


def ready(progress: DeviceProgress | None, now: datetime) -> bool:
    return progress is None or progress.not_before is None or progress.not_before <= now


def device_target(device: Device) -> PushTarget:
    return PushTarget(
        device_id=device.id,
        app_id=device.app_id,
        kind=device.kind,
        platform=device.platform,
        address=device.address,
    )


def broadcast_target(broadcast: BroadcastModel) -> PushTarget:
    return PushTarget(
        device_id=f"{broadcast.kind.value}:{broadcast.address}",
        app_id=broadcast.app_id,
        kind=broadcast.kind,
        platform=None,
        address=broadcast.address,
    )


def payload_of(
    row: PushNotificationModel, now: datetime, params: SendPushParams | None = None
) -> PushPayload:
    """What goes out for the row at `now`, within FRESH_SECONDS; `params` are its content, if at hand."""
    ttl = None
    if row.expires_at is not None:
        # Whole seconds, rounded down: the message must not live longer than the row.
        ttl = max(0, int((row.expires_at - now).total_seconds() - FRESH_SECONDS))
    return PushPayload(
        notification_id=str(row.id),
        content_key=row.content_fingerprint,
        params=params or row.to_params(),
        ttl_seconds=ttl,
        expires_at=row.expires_at,
        immediate=row.priority is Priority.IMMEDIATE,
    )


def ended(
    row: PushNotificationModel, progress: RowProgress, code: str, reason: str, *, event: str
) -> SettledRow:
    devices = tuple(replace(device, not_before=None) for device in progress.devices)
    settlement = conclude(progress, devices, retry_count=progress.retry_count)
    if settlement.status is Status.FAILED:
        settlement = replace(settlement, error_type=code, error_message=reason)
    return SettledRow(row=row, settlement=settlement, event=event, detail=reason)


def expired(row: PushNotificationModel, progress: RowProgress) -> SettledRow:
    """The end of a row past its `expires_at`: `sent` where a device had accepted before."""
    reason = "expires_at passed before a device accepted"
    end = ended(row, progress, EXPIRED_CODE, reason, event="expired")
    end = replace(end, detail="expires_at passed; nothing more is sent")
    if end.settlement.status is not Status.FAILED:
        return end
    return replace(end, settlement=replace(end.settlement, status=Status.EXPIRED))


def failed(row: PushNotificationModel, progress: RowProgress, error: Exception) -> SettledRow:
    """The end of a row that our own code could not deliver; the error's text can hold content."""
    name = type(error).__name__
    get_logger().error(
        "delivery failed", action="push.internal_error", notification_id=str(row.id), error=name
    )
    return ended(row, progress, "internal_error", f"delivery failed with {name}", event="failed")


def nobody_ready(row: PushNotificationModel, progress: RowProgress, active_ids: frozenset[str]) -> SettledRow:
    """The end of a row, or its wait, of whose devices none can be sent to; `active_ids` are still there."""
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


@dataclass(frozen=True, slots=True)
class Ending:
    """Why nothing more is sent of a row; what is written about it follows from its devices until then."""

    row: PushNotificationModel
    progress: RowProgress
    conclude: Callable[[PushNotificationModel, RowProgress], SettledRow]

    def settled(self) -> SettledRow:
        """What is written where nothing went out of it under this claim."""
        return self.conclude(self.row, self.progress)

    def settled_after(self, sent: SettledRow) -> SettledRow:
        """What is written where `sent` would be of the messages that had gone out before."""
        so_far = sent.settlement
        progress = replace(self.progress, devices=so_far.devices, retry_count=so_far.retry_count)
        end = self.conclude(self.row, progress)
        detail = f"{sent.detail}; then {end.detail}"
        return replace(sent, settlement=end.settlement, event=end.event, detail=detail)


def settled_by(
    round_: Round, results: Sequence[tuple[PushTarget, TargetResult]], settlement: Settlement
) -> SettledRow:
    tried: list[str] = []
    dead: list[tuple[Device, Classification]] = []
    tally: dict[str, int] = {}
    for target, result in results:
        verdict = result.classification
        device = round_.devices.get(target.device_id)
        if verdict.attempted and device is not None:
            tried.append(target.address)
        if verdict.target_action is not TargetAction.KEEP and device is not None:
            dead.append((device, verdict))
        label: str = verdict.outcome
        if verdict.outcome is not Outcome.ACCEPTED:
            label = f"{verdict.outcome} ({verdict.code}: {verdict.reason})"
        tally[label] = tally.get(label, 0) + 1
    detail = ", ".join(f"{count} device(s) {label}" for label, count in tally.items())
    return SettledRow(
        row=round_.row,
        settlement=settlement,
        tokens_tried=tried,
        dead=dead,
        event="attempted",
        detail=detail,
    )


def why_not_claimed(row: RowStanding) -> str:
    if not row.active:
        return "cancelled"
    if row.status is Status.PROCESSING:
        return "claimed_by_another_worker"
    if row.status is Status.PENDING:
        return LET_GO if row.was_let_go else "not_due_yet"
    return row.error_type or "accepted"


def seconds_until(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else max(0.0, (moment - now).total_seconds())

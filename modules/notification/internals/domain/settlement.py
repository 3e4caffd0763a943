"""Folds what happened to a row's devices into the row's next state; pure, no clock and no I/O."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from modules.notification.internals.domain.backoff import Backoff
from modules.notification.types import Outcome, OutcomePolicy, Status, TargetResult

_COSTS_A_RETRY = frozenset({Outcome.TRANSIENT, Outcome.UNKNOWN})
_RETRIABLE = frozenset({Outcome.TRANSIENT, Outcome.UNKNOWN, Outcome.THROTTLED, Outcome.MISCONFIGURED})
CLAIM_LOST_CODE = "CLAIM_LOST"
EXPIRED_CODE = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceProgress:
    """Where delivery to one device stands; `not_before` is set exactly while it is to be tried again.

    `retries` counts the attempts that cost a retry: each device has `max_retries` of its own, since devices
    come back at different times and would use up one budget for each other. `unreached_since` is when the
    provider could not be reached for the first time since it last gave an answer.
    """

    device_id: str
    app_id: str
    outcome: Outcome
    code: str
    reason: str
    attempts: int
    retries: int
    unknown_attempts: int
    message_id: str | None
    last_attempt_at: datetime
    not_before: datetime | None
    unreached_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowProgress:
    """What the fold needs to know of a claimed row."""

    devices: tuple[DeviceProgress, ...]
    retry_count: int
    max_retries: int
    outcome_policy: OutcomePolicy
    retries_until_expiry: bool
    expires_at: datetime | None

    def open_devices(self) -> dict[str, DeviceProgress]:
        """Devices that are still to be tried again, by id."""
        return {device.device_id: device for device in self.devices if device.not_before is not None}

    def settled_ids(self) -> frozenset[str]:
        """Devices that must not be sent to again."""
        return frozenset(device.device_id for device in self.devices if device.not_before is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The row's next state. `next_retry_at` is set exactly when `status` is pending."""

    status: Status
    devices: tuple[DeviceProgress, ...]
    retry_count: int
    next_retry_at: datetime | None
    error_type: str | None
    error_message: str | None


@dataclass(frozen=True, slots=True)
class _Round:
    """What holds for every device of one round of attempts."""

    policy: OutcomePolicy
    most_retries: float
    patience_seconds: float
    now: datetime


@dataclass(frozen=True, slots=True)
class Fold:
    """How results become a settlement. `draw` yields random numbers in [0, 1].

    What never reached the provider costs no retry; it is given up once the provider could not be reached for
    `patience_seconds`. A row that expires waits until then, however long.
    """

    backoff: Backoff
    draw: Callable[[], float] = field(repr=False)
    patience_seconds: float = math.inf

    def settle(
        self,
        row: RowProgress,
        results: Sequence[TargetResult],
        *,
        apps: Mapping[str, str],
        active_ids: Collection[str],
        now: datetime,
    ) -> Settlement:
        """The state after one round of attempts.

        `apps` maps the device ids of `results` to their app, `active_ids` are the account's active devices.
        Accepted devices stay accepted; a device that is not active any more is not tried again.
        """
        most_retries = math.inf if row.retries_until_expiry else row.max_retries
        patience_seconds = self.patience_seconds if row.expires_at is None else math.inf
        round_ = _Round(row.outcome_policy, most_retries, patience_seconds, now)
        merged = {device.device_id: device for device in row.devices}
        for result in results:
            former = merged.get(result.device_id)
            merged[result.device_id] = self._progress(round_, former, result, apps[result.device_id])
        devices = tuple(
            replace(device, not_before=None)
            if device.not_before is not None and device.device_id not in active_ids
            else device
            for device in merged.values()
        )
        retry_count = max((device.retries for device in devices), default=0)
        return conclude(row, devices, retry_count=max(row.retry_count, retry_count))

    def _progress(
        self,
        round_: _Round,
        former: DeviceProgress | None,
        result: TargetResult,
        app_id: str,
    ) -> DeviceProgress:
        verdict = result.classification
        costs = verdict.outcome in _COSTS_A_RETRY and not verdict.unreached
        attempts = (former.attempts if former else 0) + (1 if verdict.attempted else 0)
        retries = (former.retries if former else 0) + costs
        unknown = (former.unknown_attempts if former else 0) + (verdict.outcome is Outcome.UNKNOWN)
        unreached_since = _unreached_since(former, result, round_.now)
        waited = (round_.now - unreached_since).total_seconds() if unreached_since else 0.0
        reason, not_before = verdict.reason, None
        if verdict.unreached and waited >= round_.patience_seconds:
            reason = f"given up after {waited:.0f} s in which the provider was not reached: {reason}"
        elif _may_retry(verdict.outcome, round_.policy, spent=costs and retries > round_.most_retries):
            delay = self.backoff.delay_seconds(
                attempt=self.backoff.attempts_within(waited) if verdict.unreached else max(1, retries),
                floor_seconds=verdict.min_backoff_seconds,
                retry_after_seconds=verdict.retry_after_seconds,
                draw=self.draw(),
            )
            not_before = round_.now + timedelta(seconds=delay)
        return DeviceProgress(
            device_id=result.device_id,
            app_id=app_id,
            outcome=verdict.outcome,
            code=verdict.code,
            reason=reason,
            attempts=attempts,
            retries=retries,
            unknown_attempts=unknown,
            message_id=result.message_id,
            last_attempt_at=round_.now,
            not_before=not_before,
            unreached_since=unreached_since,
        )


def _unreached_since(former: DeviceProgress | None, result: TargetResult, now: datetime) -> datetime | None:
    since = former.unreached_since if former else None
    verdict = result.classification
    if verdict.unreached:
        return since or now
    # An answer ends the wait; what was only put off here says nothing.
    return None if verdict.attempted else since


def _may_retry(outcome: Outcome, policy: OutcomePolicy, *, spent: bool) -> bool:
    if outcome not in _RETRIABLE or spent:
        return False
    return not (outcome is Outcome.UNKNOWN and policy is OutcomePolicy.AT_MOST_ONCE)


def conclude(row: RowProgress, devices: tuple[DeviceProgress, ...], *, retry_count: int) -> Settlement:
    """The row's status from its devices alone.

    Something left to retry before `expires_at` → pending. Else accepted by one → sent, by none → failed, or
    expired when only `expires_at` stands in the way of a retry.
    """
    waiting = [device.not_before for device in devices if device.not_before is not None]
    error = _worst(devices)
    if waiting:
        next_retry_at = min(waiting)
        if row.expires_at is None or next_retry_at < row.expires_at:
            return Settlement(
                status=Status.PENDING,
                devices=devices,
                retry_count=retry_count,
                next_retry_at=next_retry_at,
                error_type=error.code if error else None,
                error_message=error.reason if error else None,
            )
        devices = tuple(replace(device, not_before=None) for device in devices)
    accepted = any(device.outcome is Outcome.ACCEPTED for device in devices)
    status = Status.SENT if accepted else (Status.EXPIRED if waiting else Status.FAILED)
    return Settlement(
        status=status,
        devices=devices,
        retry_count=retry_count,
        next_retry_at=None,
        error_type=error.code if error else None,
        error_message=error.reason if error else None,
    )


def lose_dispatched(
    row: RowProgress, dispatched: Collection[str], apps: Mapping[str, str], *, now: datetime
) -> RowProgress:
    """Under `at_most_once`: devices handed over for by a claim that was lost are unknown, and final."""
    merged = {device.device_id: device for device in row.devices}
    for device_id in dispatched:
        former = merged.get(device_id)
        if former is not None and former.not_before is None:
            continue
        merged[device_id] = DeviceProgress(
            device_id=device_id,
            app_id=apps.get(device_id, former.app_id if former else ""),
            outcome=Outcome.UNKNOWN,
            code=CLAIM_LOST_CODE,
            reason="the worker was lost while sending; the message may have been accepted",
            attempts=(former.attempts if former else 0) + 1,
            retries=former.retries if former else 0,
            unknown_attempts=(former.unknown_attempts if former else 0) + 1,
            message_id=None,
            last_attempt_at=now,
            not_before=None,
        )
    return replace(row, devices=tuple(merged.values()))


_SEVERITY = (
    Outcome.MISCONFIGURED,
    Outcome.UNKNOWN,
    Outcome.PERMANENT,
    Outcome.TRANSIENT,
    Outcome.THROTTLED,
    Outcome.TARGET_DEAD,
)


def _worst(devices: Sequence[DeviceProgress]) -> DeviceProgress | None:
    failed = [device for device in devices if device.outcome is not Outcome.ACCEPTED]
    return min(failed, key=lambda device: _SEVERITY.index(device.outcome), default=None)

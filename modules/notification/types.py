"""The words of the notification module: what callers pass in, what adapters answer, what operators read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from modules.device_token.types import Platform, TargetKind

# Upper bounds of the buckets in which answers of a provider are counted by their time; one more is open.
LATENCY_BUCKETS_MS = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)

# What belongs to no campaign shares the rate of its credential as one flow.
ORDINARY_FLOW = "ordinary"
# Stands where a forgotten account's row had something.
ERASED = "erased"


class Status(StrEnum):
    """Where a delivery row stands; no other status exists."""

    PENDING = "pending"
    PROCESSING = "processing"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    EXPIRED = "expired"


class Priority(StrEnum):
    IMMEDIATE = "immediate"
    NORMAL = "normal"


class OutcomePolicy(StrEnum):
    """What to do when nobody can know whether the provider took a message."""

    AT_LEAST_ONCE = "at_least_once"
    AT_MOST_ONCE = "at_most_once"


class Outcome(StrEnum):
    """What one attempt at one target meant."""

    ACCEPTED = "accepted"
    TARGET_DEAD = "target_dead"
    PERMANENT = "permanent"
    TRANSIENT = "transient"
    THROTTLED = "throttled"
    MISCONFIGURED = "misconfigured"
    UNKNOWN = "unknown"


class TargetAction(StrEnum):
    """What an outcome says about the target itself."""

    KEEP = "keep"
    DEACTIVATE = "deactivate"
    QUARANTINE = "quarantine"


class Suspect(StrEnum):
    """Whom a provider blames that refuses a request as invalid."""

    MESSAGE_OR_TARGET = "message_or_target"
    TARGET = "target"


class BroadcastKind(StrEnum):
    """What else than a device one message can go to."""

    TOPIC = "topic"
    CONDITION = "condition"


class ThrottleScope(StrEnum):
    """Whom a provider's 'slow down' concerns."""

    PROJECT = "project"
    DEVICE = "device"
    TOPIC = "topic"


@dataclass(frozen=True, slots=True, kw_only=True)
class AndroidOptions:
    """`click_action` names an intent filter of the app: a tap starts that activity, not the launcher's.

    `sound`, a raw resource's name or `default`, counts up to Android 7; from 8 on the channel has the sound.
    """

    channel_id: str | None = None
    priority: str | None = None
    collapse_key: str | None = None
    sound: str | None = None
    click_action: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApnsOptions:
    """`category` names the notification's actions in the app.

    `interruption_level` is passive, active, time-sensitive or critical; the last two need entitlements.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    badge: int | None = None
    sound: str | None = None
    thread_id: str | None = None
    category: str | None = None
    interruption_level: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPushOptions:
    link: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendPushParams:
    """What to tell one account by push. Without `title` and `body` it is silent: the app alone gets `data`.

    `data` keys and values are strings (FCM HTTP v1, Message.data). `click_action` is what a tap opens: a path
    (/orders/7), an https address or one of the app's own scheme (shop://orders/7); apps find it in `data`
    under `click_action`. `category` is what preferences are about. `app_id` limits delivery to devices
    registered for that app; None means every app of the account. Nothing is checked here: the service checks
    everything at once.
    """

    title: str | None = None
    body: str | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    image_url: str | None = None
    click_action: str | None = None
    category: str = "general"
    app_id: str | None = None
    outcome_policy: OutcomePolicy = OutcomePolicy.AT_LEAST_ONCE
    android: AndroidOptions = field(default_factory=AndroidOptions)
    apns: ApnsOptions = field(default_factory=ApnsOptions)
    webpush: WebPushOptions = field(default_factory=WebPushOptions)
    analytics_label: str | None = None

    @property
    def is_silent(self) -> bool:
        """Whether nothing is shown: there is data for the app and no text for a person."""
        return self.title is None and self.body is None


@dataclass(frozen=True, slots=True, kw_only=True)
class PushTarget:
    """One device to deliver to, or a broadcast, which has no platform. `address` is a secret."""

    device_id: str
    app_id: str
    kind: TargetKind | BroadcastKind
    platform: Platform | None
    address: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushPayload:
    """What a channel puts on the wire for one notification; its content stays out of `repr`.

    `notification_id` is the collapse id, so that a message delivered twice shows once. `content_key`, if
    given, is equal for payloads that differ in nothing but `notification_id`, `ttl_seconds` and `expires_at`.
    `ttl_seconds` is what is left until `expires_at` on the database's clock; None: the provider's default.
    `expires_at` (aware) serves providers that want an absolute time; without it this host's clock plus
    `ttl_seconds` is used. `immediate` asks the provider to wake the device.
    """

    notification_id: str
    content_key: str | None = None
    params: SendPushParams = field(repr=False)
    ttl_seconds: int | None = None
    expires_at: datetime | None = None
    immediate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """One payload and whom it goes to: 1 to 500 targets."""

    targets: Sequence[PushTarget]
    payload: PushPayload


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """What a provider's answer means.

    `retry_after_seconds` is the provider's word, `min_backoff_seconds` ours. `attempted` is False when this
    process decided, before anything left: the way is closed (breaker, pause), or the message cannot be sent.
    `unreached`: it was tried, and though nothing is wrong with our settings, certainly nothing of the message
    was read by the provider. `suspect` is set where a permanent outcome may be the target's own fault.
    """

    outcome: Outcome
    code: str
    reason: str
    target_action: TargetAction = TargetAction.KEEP
    retry_after_seconds: float | None = None
    min_backoff_seconds: float = 0.0
    scope: ThrottleScope | None = None
    attempted: bool = True
    unreached: bool = False
    suspect: Suspect | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResult:
    """The outcome of one attempt at one device; `message_id` is set exactly when it was accepted."""

    device_id: str
    classification: Classification
    message_id: str | None = None
    latency_ms: float = 0.0

    @property
    def outcome(self) -> Outcome:
        return self.classification.outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class SendPushResult:
    """What became of one send: one result a target, in the targets' order. Partial success is normal."""

    results: tuple[TargetResult, ...]

    @property
    def accepted(self) -> tuple[TargetResult, ...]:
        return tuple(result for result in self.results if result.outcome is Outcome.ACCEPTED)

    @property
    def failed(self) -> tuple[TargetResult, ...]:
        return tuple(result for result in self.results if result.outcome is not Outcome.ACCEPTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """One thing that happened to a notification, and why; `at` is aware and UTC."""

    at: datetime
    event: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceDelivery:
    """Where delivery to one device stands."""

    device_id: str
    app_id: str
    outcome: Outcome
    code: str
    attempts: int
    unknown_attempts: int
    message_id: str | None
    last_attempt_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationErasure:
    """How many rows of an account were emptied, and of these, how many were not to an end before.

    `withdrawn` were pending. `interrupted` were being sent for so long that they were taken from who sent
    them: whether their message went out is not known.
    """

    erased: int
    withdrawn: int
    interrupted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReport:
    """What one call of the delivery code did to one row; ids, counts and codes only, fit for Temporal.

    `retry_in_seconds` is None when nothing is left to do.
    """

    notification_id: str
    status: Status
    note: str
    accepted: int = 0
    failed: int = 0
    retry_in_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DueRow:
    """One row a scan found; (`due_at`, `notification_id`) is its keyset. `reclaimed`: its lease ran out."""

    notification_id: str
    account_id: str
    priority: Priority
    due_at: datetime
    reclaimed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DueRows:
    """A page of rows that were due at `until`, oldest first; the next page keeps to the same `until`."""

    rows: tuple[DueRow, ...]
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PushNotification:
    """A notification as callers and operators see it: no device tokens.

    A silent one has neither title nor body.
    """

    id: str
    account_id: str
    status: Status
    priority: Priority
    active: bool
    category: str
    title: str | None
    body: str | None
    retry_count: int
    max_retries: int
    next_retry_at: datetime | None
    expires_at: datetime | None
    error_type: str | None
    error_message: str | None
    created_at: datetime
    updated_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    correlation_id: str | None
    idempotency_key: str | None
    devices: tuple[DeviceDelivery, ...]
    timeline: tuple[TimelineEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PushNotificationWorkerParams:
    """One row to deliver. `priority` decides the task queue."""

    notification_id: str
    account_id: str
    priority: str


class SendingStop(Protocol):
    """Whether what is being delivered is still wanted. Once it says stop, it keeps saying so."""

    def is_set(self) -> bool:
        """What is known; asked right before each message, without I/O."""
        ...

    async def look(self) -> bool:
        """Read what is wanted now; raises UnavailableError when that cannot be read."""
        ...


# Asked for by each scan, served by whoever looks after campaigns.
RESTART_ACTIVITY = "restart_campaigns"

"""The words of campaigns as callers say and read them: audiences, rollouts, plans, and where one stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from modules.application.app_ids import DEFAULT_APP_ID
from modules.device_token.types import Platform


class CampaignState(StrEnum):
    """Where a campaign stands; `reason` says why, where that needs saying.

    `halted` is a pause the campaign gave itself, `failed` its end where it could not go on.
    """

    COLLECTING = "collecting"
    RUNNING = "running"
    PAUSED = "paused"
    HALTED = "halted"
    CANCELLED = "cancelled"
    COMPLETED = "completed"
    PLANNED = "planned"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountList:
    """An audience that is named one by one. `account_ids` may be an iterator: it is read once, by pages."""

    account_ids: Iterable[str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceQuery:
    """An audience that is searched: accounts with an active device for which everything given holds.

    `platforms`, `app_id` and the two times (aware) are about the device, `locales` and `tags` (any of them)
    about the account. Who is found is told on all devices, unless `SendPushParams.app_id` names one app's.
    """

    platforms: tuple[Platform, ...] = ()
    app_id: str | None = None
    locales: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    last_seen_after: datetime | None = None
    last_seen_before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """Everybody subscribed to an FCM topic of the app: one request."""

    name: str
    app_id: str = DEFAULT_APP_ID


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicCondition:
    """Everybody for whom an FCM condition over topics holds: one request."""

    expression: str
    app_id: str = DEFAULT_APP_ID


Audience = AccountList | DeviceQuery | Topic | TopicCondition


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """Steps in percent of the audience, rising to 100, and when to halt.

    A step is judged by its attempts: `max_error_rate` (0 to 1) of those that were not accepted, dead targets
    left out, and `max_p95_ms` of the provider's answers.
    """

    steps: tuple[float, ...] = (1, 10, 50, 100)
    max_error_rate: float = 0.05
    max_p95_ms: float = 2_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignPlan:
    """What a dry run found. `suppressed` counts accounts by reason, the others count what would be sent to.

    `sample` counts the codes FCM gave to `validate_only` messages.
    """

    accounts: int
    devices: int
    platforms: Mapping[str, int]
    locales: Mapping[str, int]
    suppressed: Mapping[str, int]
    payload_bytes: int
    sample: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """A campaign as callers and operators see it.

    `accounts` is the size of the audience, None while it is collected. `counts` are accounts by the status of
    their row, `waiting` without a row yet, `cancelled`, and `duplicate` where a list names one again; all of
    them add up to `accounts`. `failures` are failed rows by `error_type`. `wish` is the state that was asked
    for and is not reached yet, None for none: nothing is sent while it is `paused`, `cancelled` or `failed`.
    """

    id: str
    campaign_key: str
    state: CampaignState
    reason: str | None
    accounts: int | None
    counts: Mapping[str, int]
    failures: Mapping[str, int]
    rate_per_second: float | None
    rollout: Rollout | None
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    plan: CampaignPlan | None
    title: str | None
    wish: CampaignState | None = None

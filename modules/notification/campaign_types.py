"""The words of campaigns: what callers say and read, and what travels through Temporal for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from modules.application.app_ids import DEFAULT_APP_ID
from modules.device_token.types import Platform


class CampaignState(StrEnum):
    """Where a campaign stands. `halted` is a pause the campaign gave itself; `reason` says why."""

    COLLECTING = "collecting"
    RUNNING = "running"
    PAUSED = "paused"
    HALTED = "halted"
    CANCELLED = "cancelled"
    COMPLETED = "completed"
    PLANNED = "planned"


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
    them add up to `accounts`. `failures` are failed rows by `error_type`.
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
    title: str


PAUSED_STATES: Final = frozenset({CampaignState.PAUSED, CampaignState.HALTED})
FINAL_STATES: Final = frozenset({CampaignState.CANCELLED, CampaignState.COMPLETED, CampaignState.PLANNED})
# Every page of an audience but the last one has as many accounts.
PAGE_ACCOUNTS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutParams:
    """Where steps end, in accounts, and the limits of docs/decisions/0012."""

    step_ends: list[int]
    max_error_rate: float
    max_p95_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPage:
    """A page with rows to be tried again; `visit_at` is seconds of Unix time on the workflow's clock."""

    number: int
    visit_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignSlice:
    """Accounts `start` to `end` (excluded, places in the page); `visit`: again, for what was left."""

    page: int
    start: int
    end: int
    visit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PageTally:
    """What a page that is not done yet has in the campaign's counts, by status."""

    page: int
    counts: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignParams:
    """Names a campaign to an activity that needs nothing else."""

    campaign_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignRunParams:
    """A campaign's run: its id, and where the run before it continued as new.

    `accounts` is None while the audience is stored, `pages` says how far that is. `left` are slices that were
    stopped before their end. The figures of the step count first deliveries, and visits where nothing else
    was attempted.
    """

    campaign_id: str
    dry_run: bool = False
    rate_per_second: float | None = None
    pages: int = 0
    accounts: int | None = None
    rollout: RolloutParams | None = None
    next_account: int = 0
    step: int = 0
    left: list[CampaignSlice] = field(default_factory=list)
    open_pages: list[OpenPage] = field(default_factory=list)
    tallies: list[PageTally] = field(default_factory=list)
    paused: bool = False
    pause_reason: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    step_attempts: int = 0
    step_errors: int = 0
    step_latencies: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectParams:
    """Store the next pages of an audience, from `first_page` on."""

    campaign_id: str
    first_page: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """How far an audience has been stored. `accounts` counts all so far; `complete`: nobody is left.

    The rest is what the record says: `paused` (with a reason: halted) holds for a run that starts anew.
    """

    accounts: int
    pages: int
    complete: bool
    rollout: RolloutParams | None = None
    rate_per_second: float | None = None
    paused: bool = False
    pause_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceParams:
    """Deliver accounts `start` to `end` (excluded, places in the page) of one page; the whole page again to
    visit what was left for later. `rate_per_second` None: as fast as the provider's quota allows."""

    campaign_id: str
    page: int
    start: int
    end: int
    rate_per_second: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceReport:
    """What became of a slice.

    `counts` is the page's whole tally by status afterwards. `done` is the place up to which the slice was
    worked through: below `end` when it was stopped. `retry_in_seconds` is None when no row of the page is
    left for later. `attempts`, `errors` and `latencies` (counts by
    `types.LATENCY_BUCKETS_MS`) are of this visit alone.
    """

    page: int
    done: int
    counts: dict[str, int]
    retry_in_seconds: float | None
    attempts: int
    errors: int
    latencies: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordStateParams:
    """Store where a campaign stands, for those who look at the record: a CampaignState and why."""

    campaign_id: str
    state: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignProgress:
    """What the workflow answers to the query `progress`. `step` counts the rollout's steps that are over."""

    state: str
    reason: str | None
    accounts: int | None
    next_account: int
    counts: dict[str, int]
    open_pages: int
    in_flight: int
    step: int
    rate_per_second: float | None

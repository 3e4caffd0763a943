"""What travels through Temporal for a campaign: ids, page numbers and counts; workflows may import it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from modules.campaign.types import CampaignState

PAUSED_STATES: Final = frozenset({CampaignState.PAUSED, CampaignState.HALTED})
# Where a campaign is ended before it is through: what is left is taken out of delivery.
ENDED_STATES: Final = frozenset({CampaignState.CANCELLED, CampaignState.FAILED})
FINAL_STATES: Final = ENDED_STATES | {CampaignState.COMPLETED, CampaignState.PLANNED}
# Nothing is sent in these, nor while one of them is wished for.
SILENT_STATES: Final = PAUSED_STATES | FINAL_STATES
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

    The rest is what the record says: `paused` (with a reason: halted) holds for a run that starts anew, and
    so does `wish`, a CampaignState with its reason.
    """

    accounts: int
    pages: int
    complete: bool
    rollout: RolloutParams | None = None
    rate_per_second: float | None = None
    paused: bool = False
    pause_reason: str | None = None
    wish: str | None = None
    wish_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedWill:
    """What the record says of a campaign now: CampaignStates (None: no wish), why, and its rate."""

    state: str
    reason: str | None
    wish: str | None
    wish_reason: str | None
    rate_per_second: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRunParams:
    """A run that cannot go on, and the code of what it failed with; `final`: no other run can either."""

    campaign_id: str
    run_id: str
    code: str
    final: bool


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
    `types.LATENCY_BUCKETS_MS`) are of this visit alone. `stopped_by_record`: the campaign's record says that
    nothing more is to be sent, whatever the run knows.
    """

    page: int
    done: int
    counts: dict[str, int]
    retry_in_seconds: float | None
    attempts: int
    errors: int
    latencies: list[int]
    stopped_by_record: bool = False


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

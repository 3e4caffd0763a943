"""A campaign's audience and delivery that a test scripts: what the workflow asks for, by activity names."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from temporalio import activity
from temporalio.exceptions import ApplicationError

from modules.campaign.run_types import (
    PAGE_ACCOUNTS,
    CampaignParams,
    CampaignRunParams,
    Collected,
    CollectParams,
    FailedRunParams,
    RecordedWill,
    RecordStateParams,
    RolloutParams,
    SliceParams,
    SliceReport,
)
from modules.campaign.workers.campaign_steps import (
    CANCEL_ACTIVITY,
    COLLECT_ACTIVITY,
    FAILURE_ACTIVITY,
    LOOK_ACTIVITY,
    PLAN_ACTIVITY,
    RECORD_ACTIVITY,
    SLICE_ACTIVITY,
)
from modules.notification.types import LATENCY_BUCKETS_MS

LOST_PAGE = "a slice of the lost page"


def make_campaign(**over: Any) -> CampaignRunParams:
    return CampaignRunParams(**{"campaign_id": uuid4().hex[:24], **over})


@dataclass
class ScriptedCampaign:
    """Delivers as the real activities report it; `delivered` are a page's places that were sent to.

    A slice that finds nothing new is in `visits`. `gate` closed holds slices up until it opens or they are
    stopped, after half of their accounts unless told otherwise; `cancel_gate` holds up the cancelling of the
    rest. `errors` is a share of attempts; `open_pages` report something left for later this often.
    `silent`: the record lets nothing be sent, and slices say so; `wish`, `state` and `recorded_rate` are what
    a look at it finds. `broken` names activities that are refused for good with this code, as is a slice of
    the `lost_page`; `ends`: a run that failed ends the campaign.
    """

    accounts: int
    pages_a_collect: int = 1_000
    rollout: RolloutParams | None = None
    rate_per_second: float | None = None
    paused: bool = False
    pause_reason: str | None = None
    errors: float = 0.0
    latency_bucket: int = 1
    open_pages: dict[int, int] = field(default_factory=dict)
    slices: list[SliceParams] = field(default_factory=list)
    delivered: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    repeated: int = 0
    visits: list[int] = field(default_factory=list)
    collects: list[int] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    reasons: list[str | None] = field(default_factory=list)
    plans: int = 0
    under_way: int = 0
    most_under_way: int = 0
    stops_halfway: bool = True
    cancel_gate: asyncio.Event = field(default_factory=asyncio.Event)
    cancelling: asyncio.Event = field(default_factory=asyncio.Event)
    silent: bool = False
    wish: str | None = None
    state: str = "running"
    recorded_rate: float | None = None
    look_gate: asyncio.Event = field(default_factory=asyncio.Event)
    looks: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    lost_page: int | None = None
    ends: bool = True
    failed_runs: list[FailedRunParams] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __post_init__(self) -> None:
        self.gate.set()
        self.cancel_gate.set()
        self.look_gate.set()
        self.broken.setdefault(LOST_PAGE, "campaign_page_not_found")

    def all(self) -> list[Callable[..., Any]]:
        return [
            self.plan,
            self.collect,
            self.deliver,
            self.cancel_rest,
            self.record,
            self.look,
            self.count_failed_run,
        ]

    async def slices_begun(self, number: int) -> None:
        """Return once so many slices have been begun in all."""
        async with self.news:
            await self.news.wait_for(lambda: len(self.slices) >= number)

    async def recorded(self, state: str) -> None:
        """Return once the state was recorded."""
        async with self.news:
            await self.news.wait_for(lambda: state in self.states)

    @property
    def reached(self) -> int:
        """How many accounts were sent to."""
        return sum(len(places) for places in self.delivered.values())

    @property
    def reached_everybody_once(self) -> bool:
        return self.reached == self.accounts and self.repeated == 0

    async def _tell(self) -> None:
        async with self.news:
            self.news.notify_all()

    @activity.defn(name=PLAN_ACTIVITY)
    async def plan(self, _: CampaignParams) -> None:
        self._refuse(PLAN_ACTIVITY)
        self.plans += 1

    @activity.defn(name=COLLECT_ACTIVITY)
    async def collect(self, params: CollectParams) -> Collected:
        self._refuse(COLLECT_ACTIVITY)
        self.collects.append(params.first_page)
        pages = -(-self.accounts // PAGE_ACCOUNTS)
        stored = min(pages, params.first_page + self.pages_a_collect)
        return Collected(
            accounts=min(self.accounts, stored * PAGE_ACCOUNTS),
            pages=stored,
            complete=stored == pages,
            rollout=self.rollout,
            rate_per_second=self.rate_per_second,
            paused=self.paused,
            pause_reason=self.pause_reason,
            wish=self.wish,
        )

    @activity.defn(name=SLICE_ACTIVITY)
    async def deliver(self, params: SliceParams) -> SliceReport:
        self._refuse(LOST_PAGE if params.page == self.lost_page else SLICE_ACTIVITY)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self.slices.append(params)
        await self._tell()
        try:
            finished = await self._is_let_through(self.gate) or not self.stops_halfway
            done = params.end if finished else (params.start + params.end) // 2
            if self.silent:
                done = params.start
        finally:
            self.under_way -= 1
        places = range(params.start, done)
        new = set(places) - self.delivered[params.page]
        self.delivered[params.page] |= new
        if new:
            self.repeated += len(places) - len(new)
        else:
            self.visits.append(params.page)
        left_for_later = self.open_pages.get(params.page, 0)
        self.open_pages[params.page] = left_for_later - 1
        return SliceReport(
            page=params.page,
            done=done,
            counts={"sent": len(self.delivered[params.page])},
            retry_in_seconds=0.0 if left_for_later > 0 else None,
            attempts=len(new),
            errors=round(len(new) * self.errors),
            latencies=[
                len(new) if place == self.latency_bucket else 0
                for place in range(len(LATENCY_BUCKETS_MS) + 1)
            ],
            stopped_by_record=self.silent,
        )

    async def _is_let_through(self, gate: asyncio.Event) -> bool:
        beating = asyncio.create_task(_beat())
        try:
            await gate.wait()
        except asyncio.CancelledError:
            return False
        finally:
            beating.cancel()
        return True

    @activity.defn(name=CANCEL_ACTIVITY)
    async def cancel_rest(self, _: CampaignParams) -> dict[str, int]:
        self._refuse(CANCEL_ACTIVITY)
        self.cancelling.set()
        await self._is_let_through(self.cancel_gate)
        return {"sent": self.reached, "cancelled": self.accounts - self.reached}

    @activity.defn(name=RECORD_ACTIVITY)
    async def record(self, params: RecordStateParams) -> None:
        self.states.append(params.state)
        self.reasons.append(params.reason)
        self.state = params.state
        await self._tell()

    @activity.defn(name=LOOK_ACTIVITY)
    async def look(self, _: CampaignParams) -> RecordedWill:
        self.looks += 1
        will = self._will()
        await self._tell()
        await self._is_let_through(self.look_gate)
        return will

    @activity.defn(name=FAILURE_ACTIVITY)
    async def count_failed_run(self, params: FailedRunParams) -> RecordedWill:
        self.failed_runs.append(params)
        if self.ends:
            self.wish = "failed"
        return self._will()

    def _will(self) -> RecordedWill:
        reason = f"because of {self.failed_runs[-1].code}" if self.failed_runs else None
        return RecordedWill(
            state=self.state,
            reason=None,
            wish=self.wish,
            wish_reason=reason,
            rate_per_second=self.recorded_rate,
        )

    def _refuse(self, name: str) -> None:
        if name in self.broken:
            raise ApplicationError(self.broken[name], type=self.broken[name], non_retryable=True)


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(0.2)

"""What a campaign sends next: everybody once, within pages, steps and the pace; and when it halts."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.converter import DataConverter

from modules.campaign.run_types import (
    PAGE_ACCOUNTS,
    CampaignRunParams,
    CampaignSlice,
    OpenPage,
    PageTally,
    RolloutParams,
    SliceReport,
)
from modules.campaign.workers import campaign_progress
from modules.campaign.workers.campaign_progress import (
    MOST_OPEN_PAGES,
    SLICE_SECONDS,
    SLICES_IN_FLIGHT,
    advanced,
    begun,
    cleared,
    halt_reason,
    is_complete,
    next_slice,
    next_visit_at,
    p95_ms,
    pace_of,
    put_back,
    reported,
    step_end,
)
from modules.notification.types import LATENCY_BUCKETS_MS

NO_LATENCIES = [0] * (len(LATENCY_BUCKETS_MS) + 1)
rates = st.none() | st.floats(min_value=0.01, max_value=1e9)


def make_course(**over: object) -> CampaignRunParams:
    return replace(CampaignRunParams(campaign_id="campaign-1", accounts=3_000), **over)  # type: ignore[arg-type]


def make_rollout(*step_ends: int, max_error_rate: float = 0.05, max_p95_ms: float = 100.0) -> RolloutParams:
    return RolloutParams(step_ends=list(step_ends), max_error_rate=max_error_rate, max_p95_ms=max_p95_ms)


def make_report(part: CampaignSlice, **over: object) -> SliceReport:
    report = SliceReport(
        page=part.page,
        done=part.end,
        counts={"sent": part.end},
        retry_in_seconds=None,
        attempts=part.end - part.start,
        errors=0,
        latencies=NO_LATENCIES,
    )
    return replace(report, **over)  # type: ignore[arg-type]


@dataclass
class Run:
    """Plays the workflow's part: `draw` says which slice reports next, and how."""

    progress: CampaignRunParams
    under_way: list[CampaignSlice] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    tallies: dict[int, int] = field(default_factory=dict)
    now: float = 0.0

    def start_all(self) -> list[CampaignSlice]:
        started = []
        while part := next_slice(self.progress, self.under_way, self.now):
            self.progress = begun(self.progress, part)
            self.under_way.append(part)
            started.append(part)
        return started

    def report(self, place: int, *, done_share: float = 1.0, retry_in_seconds: float | None = None) -> None:
        part = self.under_way.pop(place)
        done = part.start + math.ceil((part.end - part.start) * done_share)
        if not part.visit:
            first = part.page * PAGE_ACCOUNTS
            self.sent += range(first + part.start, first + done)
            self.tallies[part.page] = self.tallies.get(part.page, 0) + done - part.start
        report = make_report(
            part,
            done=done,
            counts={"sent": self.tallies.get(part.page, 0)},
            retry_in_seconds=retry_in_seconds,
            attempts=0,
        )
        self.progress = advanced(reported(self.progress, part, report, self.now), self.under_way)


@st.composite
def campaign_runs(draw: st.DrawFn) -> CampaignRunParams:
    accounts = draw(st.integers(min_value=0, max_value=12_000))
    inner = draw(st.lists(st.integers(min_value=0, max_value=accounts), max_size=4))
    rollout = draw(st.sampled_from([None, make_rollout(*sorted(inner), accounts)]))
    rate = draw(st.none() | st.floats(min_value=20, max_value=10_000))
    return make_course(accounts=accounts, rollout=rollout, rate_per_second=rate)


@given(progress=campaign_runs(), data=st.data())
def test_everybody_is_sent_to_once_whatever_stops_fails_or_is_left_for_later(
    progress: CampaignRunParams, data: st.DataObject
) -> None:
    run = Run(progress)
    troubles = data.draw(st.integers(min_value=0, max_value=30))
    while not is_complete(run.progress, run.under_way):
        run.progress = advanced(run.progress, run.under_way)
        for part in run.start_all():
            assert 0 <= part.start < part.end <= PAGE_ACCOUNTS
            assert part.page * PAGE_ACCOUNTS + part.end <= step_end(run.progress)
        pages = [part.page for part in run.under_way]
        assert len(pages) == len(set(pages)) <= pace_of(run.progress.rate_per_second).in_flight
        if not run.under_way:
            due = next_visit_at(run.progress, [])
            assert due is not None, "nothing to do, yet not complete"
            run.now = max(run.now, due)
            continue
        place = data.draw(st.integers(min_value=0, max_value=len(run.under_way) - 1))
        trouble = data.draw(st.sampled_from(["none", "stopped", "lost", "later"])) if troubles else "none"
        troubles -= trouble != "none"
        if trouble == "lost":
            run.progress = put_back(run.progress, run.under_way.pop(place))
        else:
            share = data.draw(st.floats(min_value=0, max_value=1)) if trouble == "stopped" else 1.0
            later = data.draw(st.floats(min_value=0, max_value=900)) if trouble == "later" else None
            run.report(place, done_share=share, retry_in_seconds=later)
    assert sorted(run.sent) == list(range(progress.accounts or 0))
    assert run.progress.counts == ({"sent": progress.accounts} if progress.accounts else {})
    assert run.progress.tallies == []


@given(progress=campaign_runs())
def test_an_undisturbed_course_goes_through_the_accounts_in_order(progress: CampaignRunParams) -> None:
    run = Run(progress)
    begun_parts: list[CampaignSlice] = []
    while not is_complete(run.progress, run.under_way):
        run.progress = advanced(run.progress, run.under_way)
        begun_parts += run.start_all()
        run.report(0)
    places = [(part.page, place) for part in begun_parts for place in range(part.start, part.end)]
    assert places == [divmod(account, PAGE_ACCOUNTS) for account in range(progress.accounts or 0)]


@given(rate=rates)
def test_a_pace_keeps_its_rate_and_takes_effect_within_seconds(rate: float | None) -> None:
    pace = pace_of(rate)
    assert 1 <= pace.in_flight <= SLICES_IN_FLIGHT
    assert 1 <= pace.accounts <= PAGE_ACCOUNTS
    if rate is None:
        assert (pace.in_flight, pace.share_per_second) == (SLICES_IN_FLIGHT, None)
        return
    assert pace.share_per_second is not None
    assert pace.share_per_second * pace.in_flight == pytest.approx(rate)
    assert pace.accounts == 1 or pace.accounts <= pace.share_per_second * SLICE_SECONDS
    assert pace.in_flight == 1 or pace.accounts == PAGE_ACCOUNTS, "slices of one page wait for each other"


@pytest.mark.parametrize(
    ("rate", "in_flight", "accounts"),
    [
        (None, 8, 1_000),
        (0.1, 1, 1),
        (1, 1, 5),
        (50, 1, 250),
        (399, 1, 1_000),
        (400, 2, 1_000),
        (9e9, 8, 1_000),
    ],
)
def test_slices_and_their_size_follow_the_rate(rate: float | None, in_flight: int, accounts: int) -> None:
    pace = pace_of(rate)
    assert (pace.in_flight, pace.accounts) == (in_flight, accounts)


def test_new_slices_wait_while_too_many_pages_are_open() -> None:
    pages = [OpenPage(number=number, visit_at=60.0) for number in range(MOST_OPEN_PAGES + 1)]
    progress = make_course(accounts=5_000_000, next_account=3_000_000, open_pages=pages)
    assert next_slice(progress, [], now=0.0) is None
    assert next_visit_at(progress, []) == 60.0
    fewer = replace(progress, open_pages=pages[1:])
    assert next_slice(fewer, [], now=0.0) == CampaignSlice(page=3_000, start=0, end=1_000)


def test_a_run_with_as_many_open_pages_as_can_be_travels_in_one_payload() -> None:
    pages = [OpenPage(number=10**6 + number, visit_at=1_795_284_600.123456) for number in range(2_000)]
    tallies = [PageTally(page=page.number, counts={"sent": 998, "pending": 1}) for page in pages]
    progress = make_course(accounts=10**9, open_pages=pages, tallies=tallies)
    [payload] = DataConverter.default.payload_converter.to_payloads([progress])
    assert len(pages) == MOST_OPEN_PAGES
    assert len(payload.data) < 512 * 1024


def test_pages_that_cannot_end_leave_room_for_accounts_that_nobody_has_been_at() -> None:
    pages = [OpenPage(number=number, visit_at=0.0) for number in range(1_000)]
    visit = CampaignSlice(page=0, start=0, end=1_000, visit=True)
    progress = make_course(accounts=5_000_000, next_account=3_000_000, open_pages=pages)
    progress = reported(progress, visit, make_report(visit, retry_in_seconds=5.0), now=0.0)
    assert progress.open_pages[-1] == OpenPage(number=0, visit_at=50.0)


def test_a_page_is_visited_when_due_up_to_what_was_reached_of_it() -> None:
    pages = [OpenPage(number=1, visit_at=20.0), OpenPage(number=0, visit_at=10.0)]
    progress = make_course(next_account=1_250, open_pages=pages)
    visits = [CampaignSlice(page=0, start=0, end=1_000, visit=True)]
    assert next_slice(progress, [], now=20.0) == visits[0]
    visits.append(CampaignSlice(page=1, start=0, end=250, visit=True))
    assert next_slice(progress, visits[:1], now=20.0) == visits[1]
    new = next_slice(progress, visits, now=20.0)
    assert new is None, "the page that comes next is being visited"
    assert next_visit_at(progress, visits[:1]) == 20.0
    assert next_visit_at(progress, visits) is None


def test_what_was_stopped_goes_first() -> None:
    left = CampaignSlice(page=0, start=300, end=1_000)
    progress = make_course(next_account=1_000, left=[left], open_pages=[OpenPage(number=0, visit_at=0.0)])
    assert next_slice(progress, [], now=5.0) == left
    paced = replace(progress, rate_per_second=50.0)
    first = next_slice(paced, [], now=5.0)
    assert first == replace(left, end=550)
    split = begun(paced, first)
    assert split.left == [replace(left, start=550)]
    faster = next_slice(replace(split, rate_per_second=None), [first], now=5.0)
    assert faster == CampaignSlice(page=1, start=0, end=1_000), "the page that is being sent waits"


def test_a_visit_that_was_stopped_is_due_at_once() -> None:
    visit = CampaignSlice(page=0, start=0, end=1_000, visit=True)
    progress = make_course(next_account=1_000, open_pages=[OpenPage(number=0, visit_at=0.0)])
    progress = reported(progress, visit, make_report(visit, done=250), now=7.0)
    assert (progress.open_pages, progress.left) == ([OpenPage(number=0, visit_at=7.0)], [])


def test_a_retry_is_never_at_once() -> None:
    part = CampaignSlice(page=0, start=0, end=1_000)
    progress = reported(make_course(next_account=1_000), part, make_report(part, retry_in_seconds=0.0), 7.0)
    assert progress.open_pages == [OpenPage(number=0, visit_at=8.0)]


def test_a_visit_counts_for_no_step_and_replaces_the_pages_counts() -> None:
    part = CampaignSlice(page=0, start=0, end=1_000)
    progress = make_course(next_account=1_000, rollout=make_rollout(3_000))
    first = make_report(part, counts={"sent": 990, "pending": 10}, retry_in_seconds=30, errors=10)
    progress = reported(progress, part, first, now=0.0)
    assert (progress.step_attempts, progress.step_errors) == (1_000, 10)
    again = make_report(part, counts={"sent": 995, "failed": 5}, attempts=10, errors=10)
    progress = reported(progress, replace(part, visit=True), again, now=30.0)
    assert (progress.step_attempts, progress.step_errors) == (1_000, 10)
    assert (progress.counts, progress.open_pages, progress.tallies) == ({"sent": 995, "failed": 5}, [], [])


@pytest.mark.parametrize(
    ("attempts", "errors", "over", "halts"),
    [
        (49, 49, False, False),
        (50, 3, False, True),
        (100, 5, False, False),
        (100, 6, False, True),
        (1, 1, True, True),
        (0, 0, True, False),
    ],
)
def test_a_step_is_judged_from_fifty_attempts_on_or_at_its_end(
    attempts: int, errors: int, over: bool, halts: bool
) -> None:
    progress = make_course(
        rollout=make_rollout(1_000, 3_000),
        next_account=1_000 if over else 900,
        step_attempts=attempts,
        step_errors=errors,
    )
    assert (halt_reason(progress, []) is not None) is halts
    assert halt_reason(cleared(progress), []) is None
    assert halt_reason(replace(progress, rollout=None), []) is None


def test_a_step_is_over_when_its_slices_have_reported_whatever_is_left_for_later() -> None:
    part = CampaignSlice(page=0, start=0, end=1_000)
    progress = make_course(rollout=make_rollout(1_000, 1_000, 3_000), next_account=1_000)
    progress = replace(progress, open_pages=[OpenPage(number=0, visit_at=60.0)], step_attempts=1)
    assert advanced(progress, [part]).step == 0
    assert advanced(replace(progress, left=[part]), []).step == 0
    assert advanced(progress, [replace(part, visit=True)]).step == 2, "nobody is in the second one"
    assert step_end(advanced(progress, [])) == 3_000


def test_a_step_of_which_nothing_was_sent_yet_is_judged_by_its_visits() -> None:
    part = CampaignSlice(page=0, start=0, end=1_000)
    progress = make_course(rollout=make_rollout(1_000, 3_000), next_account=1_000)
    put_off = make_report(part, attempts=0, counts={"pending": 1_000}, retry_in_seconds=5.0)
    progress = reported(progress, part, put_off, now=0.0)
    assert (advanced(progress, []).step, halt_reason(progress, [])) == (0, None)
    failed = make_report(part, attempts=1_000, errors=1_000, counts={"failed": 1_000})
    progress = reported(progress, replace(part, visit=True), failed, now=5.0)
    assert halt_reason(progress, []) is not None


@pytest.mark.parametrize(
    ("latencies", "p95"),
    [
        ([], 0.0),
        (NO_LATENCIES, 0.0),
        ([100, *NO_LATENCIES[1:]], 9.5),
        ([0, 0, 0, 0, 0, 100, *NO_LATENCIES[6:]], 485.0),
        ([94, 0, 0, 6, *NO_LATENCIES[4:]], 50 + 50 / 6),
        ([95, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5], 10.0),
        ([90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10], math.inf),
    ],
)
def test_the_p95_is_read_from_the_buckets(latencies: list[int], p95: float) -> None:
    assert p95_ms(latencies) == pytest.approx(p95)


@given(latencies=st.lists(st.integers(min_value=0, max_value=10**6), min_size=11, max_size=11))
def test_the_p95_lies_in_the_bucket_that_reaches_95_percent(latencies: list[int]) -> None:
    bounds = [0, *LATENCY_BUCKETS_MS, math.inf]
    seen, total = 0, sum(latencies)
    for place, count in enumerate(latencies):
        seen += count
        if total and seen >= 0.95 * total:
            assert bounds[place] <= p95_ms(latencies) <= bounds[place + 1]
            return
    assert p95_ms(latencies) == 0.0


def test_the_details_are_numbers_only() -> None:
    progress = make_course(next_account=1_000, rollout=make_rollout(1_000, 3_000), counts={"sent": 1_000})
    words = campaign_progress.in_words(progress, "running", None)
    assert words == (
        "**running**: 1000 of 3000 accounts, 0 of 2 steps over. 1000 sent. "
        "0 page(s) to be visited again, rate no limit."
    )

"""Decides what a campaign sends next and whether a step of its rollout has failed; pure functions."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from modules.campaign.run_types import (
    PAGE_ACCOUNTS,
    CampaignRunParams,
    CampaignSlice,
    OpenPage,
    PageTally,
    RolloutParams,
    SliceReport,
)
from modules.notification.types import LATENCY_BUCKETS_MS

SLICES_IN_FLIGHT = 8
# A change of rate takes effect within this time (docs/decisions/0012).
SLICE_SECONDS = 5.0
# They travel in the run's input, which Temporal warns of above 512 KB: some 110 bytes a page.
MOST_OPEN_PAGES = 2_000
# Pages that cannot end must not take the place of accounts that nobody has been at.
VISITS_PER_SECOND = 20.0
JUDGED_ATTEMPTS = 50
SHORTEST_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How many slices are under way at once, each one's share of the rate, and the most accounts of one."""

    in_flight: int
    share_per_second: float | None
    accounts: int


def pace_of(rate_per_second: float | None) -> Pace:
    """The pace for a rate (above 0), None for none.

    A second slice is added only where whole pages fit into SLICE_SECONDS: two slices of one page would have
    to wait for each other.
    """
    if rate_per_second is None:
        return Pace(in_flight=SLICES_IN_FLIGHT, share_per_second=None, accounts=PAGE_ACCOUNTS)
    pages = math.floor(min(rate_per_second * SLICE_SECONDS / PAGE_ACCOUNTS, SLICES_IN_FLIGHT))
    in_flight = max(1, pages)
    share = rate_per_second / in_flight
    accounts = math.floor(min(share * SLICE_SECONDS, PAGE_ACCOUNTS))
    return Pace(in_flight=in_flight, share_per_second=share, accounts=max(1, accounts))


def next_slice(
    progress: CampaignRunParams, under_way: Collection[CampaignSlice], now: float
) -> CampaignSlice | None:
    """What to start now: what was stopped, then pages whose visit is due, then accounts not reached yet.

    None when there is no room or nothing to start. No page has two slices under way: of two reports on a page
    the later one is right. `now` is seconds of Unix time.
    """
    pace = pace_of(progress.rate_per_second)
    if len(under_way) >= pace.in_flight:
        return None
    busy = {each.page for each in under_way}
    for left in progress.left:
        if left.page not in busy:
            return replace(left, end=min(left.end, left.start + pace.accounts))
    due = [page for page in _waiting(progress, busy) if page.visit_at <= now]
    if due:
        number = min(due, key=lambda page: page.visit_at).number
        reached = min(progress.next_account - number * PAGE_ACCOUNTS, PAGE_ACCOUNTS)
        return CampaignSlice(page=number, start=0, end=reached, visit=True)
    if len(progress.open_pages) > MOST_OPEN_PAGES:
        return None
    return _new_slice(progress, busy, pace)


def _new_slice(progress: CampaignRunParams, busy: Collection[int], pace: Pace) -> CampaignSlice | None:
    page, start = divmod(progress.next_account, PAGE_ACCOUNTS)
    end = min(start + pace.accounts, PAGE_ACCOUNTS, step_end(progress) - page * PAGE_ACCOUNTS)
    if page in busy or end <= start:
        return None
    return CampaignSlice(page=page, start=start, end=end)


def begun(progress: CampaignRunParams, part: CampaignSlice) -> CampaignRunParams:
    """The progress once `part`, which `next_slice` gave, is under way."""
    if part.visit:
        return progress
    for place, left in enumerate(progress.left):
        if (left.page, left.start) == (part.page, part.start):
            rest = [replace(left, start=part.end)] if part.end < left.end else []
            return replace(progress, left=[*progress.left[:place], *rest, *progress.left[place + 1 :]])
    return replace(progress, next_account=part.page * PAGE_ACCOUNTS + part.end)


def put_back(progress: CampaignRunParams, part: CampaignSlice) -> CampaignRunParams:
    """The progress once `part` has ended without a report; a page that was visited is still open."""
    if part.visit or part.start >= part.end:
        return progress
    left = sorted([*progress.left, part], key=lambda each: (each.page, each.start))
    return replace(progress, left=left)


def reported(
    progress: CampaignRunParams, part: CampaignSlice, report: SliceReport, now: float
) -> CampaignRunParams:
    """The progress once `part` has reported: counts, the page's next visit, the step's figures, the rest."""
    stopped = report.done < part.end
    progress = put_back(progress, replace(part, start=report.done))
    visit_at = now if part.visit and stopped else None
    if visit_at is None and report.retry_in_seconds is not None:
        least = max(SHORTEST_RETRY_SECONDS, len(progress.open_pages) / VISITS_PER_SECOND)
        visit_at = now + max(report.retry_in_seconds, least)
    open_pages = [page for page in progress.open_pages if page.number != part.page]
    if visit_at is not None:
        open_pages.append(OpenPage(number=part.page, visit_at=visit_at))
    progress = _counted(replace(progress, open_pages=open_pages), report)
    if part.visit and progress.step_attempts:
        return progress
    sums = zip_longest(progress.step_latencies, report.latencies, fillvalue=0)
    return replace(
        progress,
        step_attempts=progress.step_attempts + report.attempts,
        step_errors=progress.step_errors + report.errors,
        step_latencies=[old + new for old, new in sums],
    )


def _counted(progress: CampaignRunParams, report: SliceReport) -> CampaignRunParams:
    """With the page's tally in place of the one before; tallies of pages that are done are let go."""
    before = next((each.counts for each in progress.tallies if each.page == report.page), {})
    counts = {
        status: progress.counts.get(status, 0) + report.counts.get(status, 0) - before.get(status, 0)
        for status in {**progress.counts, **report.counts}
    }
    tallies = [each for each in progress.tallies if each.page != report.page]
    if not _is_done(progress, report.page):
        tallies.append(PageTally(page=report.page, counts=dict(report.counts)))
    return replace(
        progress, counts={status: count for status, count in counts.items() if count}, tallies=tallies
    )


def _is_done(progress: CampaignRunParams, page: int) -> bool:
    reached = progress.next_account >= min((page + 1) * PAGE_ACCOUNTS, progress.accounts or 0)
    unfinished = {each.page for each in progress.left} | {each.number for each in progress.open_pages}
    return reached and page not in unfinished


def next_visit_at(progress: CampaignRunParams, under_way: Collection[CampaignSlice]) -> float | None:
    """When the first page that nobody is at is to be visited, in Unix time; None when none is."""
    busy = {each.page for each in under_way}
    return min((page.visit_at for page in _waiting(progress, busy)), default=None)


def seconds_to_visit(
    progress: CampaignRunParams, under_way: Collection[CampaignSlice], now: float
) -> float | None:
    """How long to wait for the next visit; None where a report comes first: a timer costs events."""
    visit_at = next_visit_at(progress, under_way)
    if visit_at is None or len(under_way) >= pace_of(progress.rate_per_second).in_flight:
        return None
    return max(0.0, visit_at - now)


def _waiting(progress: CampaignRunParams, busy: Collection[int]) -> list[OpenPage]:
    return [page for page in progress.open_pages if page.number not in busy]


def is_complete(progress: CampaignRunParams, under_way: Collection[CampaignSlice]) -> bool:
    """True when every account was reached, and no page has anything left to be tried again."""
    reached = progress.accounts is not None and progress.next_account >= progress.accounts
    return reached and not (under_way or progress.left or progress.open_pages)


def step_end(progress: CampaignRunParams) -> int:
    """The account before which to stop until the step has been judged."""
    if progress.rollout is None or progress.step >= len(progress.rollout.step_ends):
        return progress.accounts or 0
    return progress.rollout.step_ends[progress.step]


def advanced(progress: CampaignRunParams, under_way: Collection[CampaignSlice]) -> CampaignRunParams:
    """The progress in the first step that is not over; ask `halt_reason` first."""
    while _step_is_over(progress, under_way):
        progress = cleared(replace(progress, step=progress.step + 1))
    return progress


def cleared(progress: CampaignRunParams) -> CampaignRunParams:
    """The progress with the step's figures at nothing: what was seen so far is judged no more."""
    return replace(progress, step_attempts=0, step_errors=0, step_latencies=[])


def _step_is_over(progress: CampaignRunParams, under_way: Collection[CampaignSlice]) -> bool:
    """Retries may outlive their step: they wait up to the longest backoff, and count for no step.

    Unless nothing else has been attempted in it: a step of which nothing is known is not over.
    """
    if progress.rollout is None or progress.step >= len(progress.rollout.step_ends):
        return False
    unreported = progress.left or any(not each.visit for each in under_way)
    begins = progress.rollout.step_ends[progress.step - 1] if progress.step else 0
    unseen = progress.open_pages and not progress.step_attempts and begins < step_end(progress)
    return progress.next_account >= step_end(progress) and not unreported and not unseen


def halt_reason(progress: CampaignRunParams, under_way: Collection[CampaignSlice]) -> str | None:
    """Which limit the step has passed, in one sentence; None when none, or too little has been seen.

    A step is judged from JUDGED_ATTEMPTS on, and at its end whatever was seen.
    """
    rollout = progress.rollout
    if rollout is None or progress.step_attempts == 0:
        return None
    if progress.step_attempts < JUDGED_ATTEMPTS and not _step_is_over(progress, under_way):
        return None
    passed = _passed_limit(progress, rollout)
    steps = len(rollout.step_ends)
    return None if passed is None else f"Step {min(progress.step + 1, steps)} of {steps}: {passed}."


def _passed_limit(progress: CampaignRunParams, rollout: RolloutParams) -> str | None:
    error_rate = progress.step_errors / progress.step_attempts
    if error_rate > rollout.max_error_rate:
        return (
            f"{progress.step_errors} of {progress.step_attempts} attempts failed ({error_rate:.1%}), "
            f"the limit is {rollout.max_error_rate:.1%}"
        )
    p95 = p95_ms(progress.step_latencies)
    if p95 > rollout.max_p95_ms:
        longest = LATENCY_BUCKETS_MS[-1]
        measured = f"{p95:.0f} ms" if math.isfinite(p95) else f"more than {longest} ms"
        return f"the provider's p95 is {measured}, the limit is {rollout.max_p95_ms:.0f} ms"
    return None


def p95_ms(latencies: Sequence[int]) -> float:
    """The time within which 95 % of the answers came, from counts by LATENCY_BUCKETS_MS.

    Linear inside a bucket, as Prometheus does it; infinite in the open one; 0 without answers.
    """
    rank = 0.95 * sum(latencies)
    seen, lower = 0, 0
    for upper, count in zip(LATENCY_BUCKETS_MS, latencies, strict=False):
        if count and seen + count >= rank:
            return lower + (upper - lower) * (rank - seen) / count
        seen, lower = seen + count, upper
    return math.inf if sum(latencies) else 0.0


def in_words(progress: CampaignRunParams, state: str, reason: str | None) -> str:
    """Where the campaign stands, for the Web UI: numbers only."""
    rate = "no limit" if progress.rate_per_second is None else f"{progress.rate_per_second:g}/s"
    step = (
        ""
        if progress.rollout is None
        else f", {progress.step} of {len(progress.rollout.step_ends)} steps over"
    )
    total = "?" if progress.accounts is None else str(progress.accounts)
    why = "" if reason is None else f" ({reason})"
    return (
        f"**{state}**{why}: {progress.next_account} of {total} accounts{step}. {_listed(progress.counts)}. "
        f"{len(progress.open_pages)} page(s) to be visited again, rate {rate}."
    )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "Nothing sent yet"

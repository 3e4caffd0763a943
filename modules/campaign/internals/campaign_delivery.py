"""Delivers slices of campaign pages: writes their rows, sends them in chunks, counts what became of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from modules.application.mongo_database import DatabaseClock
from modules.campaign.internals.campaign_reader import campaign_id_of
from modules.campaign.internals.campaign_stop import CampaignStop
from modules.campaign.internals.store.campaign_page_repository import CampaignPageRepository
from modules.campaign.internals.store.campaign_repository import CampaignRepository
from modules.campaign.run_types import SliceParams, SliceReport
from modules.notification.bulk_service import BulkService
from modules.notification.bulk_types import BulkReport, PageRows
from modules.notification.types import LATENCY_BUCKETS_MS

# The sends of one chunk may repeat when a worker is killed, and a stop waits for one.
CHUNK_ROWS = 250
# A paced slice sends in portions of this time.
PORTION_SECONDS = 1.0
# A slice ends then and reports how far it got: it holds a slot of the worker, and others wait for one.
LONGEST_SLICE_SECONDS = 20.0


class CampaignDelivery:
    """Lives on one event loop. Safe to repeat: rows are written once, and the claim decides who sends."""

    def __init__(
        self,
        *,
        campaigns: CampaignRepository,
        pages: CampaignPageRepository,
        clock: DatabaseClock,
        retention: timedelta,
    ) -> None:
        self._campaigns = campaigns
        self._pages = pages
        self._clock = clock
        self._retention = retention

    async def deliver(self, part: SliceParams, stopped: asyncio.Event) -> SliceReport:
        """Deliver the slice until `stopped` is set or the record says that nothing more is to be sent.

        Raises UnavailableError when MongoDB does not answer, NotFoundError when the page does not exist.
        """
        campaign_id = campaign_id_of(part.campaign_id)
        page = await self._pages.get(campaign_id, part.page)
        rows = BulkService.rows_of(bulk_id=part.campaign_id, page=part.page, account_ids=page.account_ids)
        slice_ = _Slice(part, rows, is_first_visit=not page.is_visited)
        stop = CampaignStop(self._campaigns, campaign_id, stopped)
        done, reports = await self._deliver_chunks(slice_, stop)
        if stop.is_ended:
            # Written by a worker that stood still while the rest was taken out of delivery.
            await BulkService.cancel_async(rows=rows.part(part.start, part.end))
        outcome = await BulkService.tally_async(rows=rows)
        await self._pages.store_tally(campaign_id, part.page, outcome.counts, retry_at=outcome.open_until)
        return SliceReport(
            page=part.page,
            done=done,
            counts=outcome.counts,
            retry_in_seconds=await self._seconds_until(outcome.open_until),
            attempts=sum(report.attempts for report in reports),
            errors=sum(report.errors for report in reports),
            latencies=_summed([report.latencies for report in reports]),
            stopped_by_record=stop.by_record and not stopped.is_set(),
        )

    async def _deliver_chunks(self, slice_: _Slice, stop: CampaignStop) -> tuple[int, list[BulkReport]]:
        """The place up to which the slice was worked through, and what was sent on the way."""
        part, reports = slice_.params, []
        pace, done = _Pace(part.rate_per_second), part.start
        deadline = time.monotonic() + LONGEST_SLICE_SECONDS
        campaign = await stop.begin()
        while done < part.end and not stop.is_set():
            await pace.wait(stop.told)
            is_open = await self._is_open(campaign.app_id, stop.told, deadline)
            # Read last of all: whoever cancels counts on nothing being sent once the record says so.
            campaign = await stop.begin()
            if not is_open or stop.is_set():
                break
            end = min(part.end, done + pace.rows)
            report = await BulkService.deliver_async(
                rows=slice_.rows.part(done, end),
                expires_at=campaign.expires_at,
                # Later, an account without a row may have been told: retention has taken the row.
                write_until=campaign.created_at + self._retention,
                is_first_visit=slice_.is_first_visit,
                stop=stop,
            )
            reports.append(report)
            if stop.is_set():
                # What of the chunk has gone out is found done when it is delivered again.
                break
            pace.sent(report.due)
            done = end
        if not stop.is_set():
            # The next slice begins where this one's time ends.
            await pace.wait(stop.told)
        return done, reports

    async def _is_open(self, app_id: str, stopped: asyncio.Event, deadline: float) -> bool:
        """Wait for the provider, at most until `deadline` of the monotonic clock; whether time is left."""
        left = deadline - time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, left)):
                await BulkService.wait_open_async(app_id=app_id, stopped=stopped)
        except TimeoutError:
            return False
        return left > 0

    async def _seconds_until(self, moment: datetime | None) -> float | None:
        if moment is None:
            return None
        return max(0.0, (moment - await self._clock.now()).total_seconds())


@dataclass(frozen=True, slots=True)
class _Slice:
    """What is to be delivered, the rows of its whole page, and whether nobody has counted the page yet."""

    params: SliceParams
    rows: PageRows
    is_first_visit: bool


def _summed(latencies: Sequence[Sequence[int]]) -> list[int]:
    nothing = [0] * (len(LATENCY_BUCKETS_MS) + 1)
    return [sum(counts) for counts in zip(nothing, *latencies, strict=True)]


class _Pace:
    """Spaces chunks so that a slice keeps its rate from its start on."""

    def __init__(self, rate_per_second: float | None) -> None:
        self._rate = rate_per_second
        portion = CHUNK_ROWS if rate_per_second is None else int(rate_per_second * PORTION_SECONDS)
        self.rows = max(1, min(CHUNK_ROWS, portion))
        self._next = time.monotonic()

    async def wait(self, stopped: asyncio.Event) -> None:
        """Wait for the next chunk's turn, or for the stop."""
        left = self._next - time.monotonic()
        if left > 0:
            try:
                async with asyncio.timeout(left):
                    await stopped.wait()
            except TimeoutError:
                return

    def sent(self, rows: int) -> None:
        if self._rate is not None:
            self._next = max(self._next, time.monotonic() - PORTION_SECONDS) + rows / self._rate

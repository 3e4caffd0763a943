"""Delivers slices of campaign pages: writes their rows, sends them in chunks, counts what became of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

from bson import ObjectId

from modules.application.mongo_database import DatabaseClock
from modules.notification.campaign_types import SliceParams, SliceReport
from modules.notification.internals.campaign_reader import campaign_id_of
from modules.notification.internals.campaign_stop import CampaignStop
from modules.notification.internals.delivery.attempt_tally import AttemptTally
from modules.notification.internals.delivery.send_guard import SendingStop
from modules.notification.internals.store.campaign_page_repository import CampaignPage, CampaignPageRepository
from modules.notification.internals.store.campaign_repository import CampaignRepository
from modules.notification.internals.store.campaign_row_repository import CampaignRowRepository
from modules.notification.internals.store.campaign_rows import campaign_row_ids
from modules.notification.types import DeliveryReport

# The sends of one chunk may repeat when a worker is killed, and a stop waits for one.
CHUNK_ROWS = 250
# A paced slice sends in portions of this time.
PORTION_SECONDS = 1.0
# A slice ends then and reports how far it got: it holds a slot of the worker, and others wait for one.
LONGEST_SLICE_SECONDS = 20.0


class DeliverRows(Protocol):
    """RowDelivery.deliver, whoever runs it."""

    async def __call__(
        self, *, notification_ids: Sequence[str], tally: AttemptTally, stop: SendingStop
    ) -> list[DeliveryReport]: ...


class WaitOpen(Protocol):
    """Returns once the app's provider takes messages again, or `stopped` is set."""

    async def __call__(self, *, app_id: str, stopped: asyncio.Event) -> None: ...


class CampaignDelivery:
    """Lives on one event loop. Safe to repeat: rows are written once, and the claim decides who sends."""

    def __init__(
        self,
        *,
        campaigns: CampaignRepository,
        pages: CampaignPageRepository,
        rows: CampaignRowRepository,
        deliver: DeliverRows,
        clock: DatabaseClock,
        wait_open: WaitOpen,
        retention: timedelta,
    ) -> None:
        self._campaigns = campaigns
        self._pages = pages
        self._rows = rows
        self._deliver_rows = deliver
        self._clock = clock
        self._wait_open = wait_open
        self._retention = retention

    async def deliver(self, part: SliceParams, stopped: asyncio.Event) -> SliceReport:
        """Deliver the slice until `stopped` is set or the record says that nothing more is to be sent.

        Raises UnavailableError when MongoDB does not answer, NotFoundError when the page does not exist.
        """
        campaign_id = campaign_id_of(part.campaign_id)
        page = await self._pages.get(campaign_id, part.page)
        slice_ = _Slice(part, campaign_id, page, campaign_row_ids(campaign_id, page.account_ids))
        tally, stop = AttemptTally(), CampaignStop(self._campaigns, campaign_id, stopped)
        done = await self._deliver_chunks(slice_, tally, stop)
        if stop.is_ended:
            # Written by a worker that stood still while the rest was taken out of delivery.
            await self._rows.cancel(slice_.row_ids_of(part.start, part.end).values())
        report = await self._report(slice_, done, tally)
        return replace(report, stopped_by_record=stop.by_record and not stopped.is_set())

    async def _deliver_chunks(self, slice_: _Slice, tally: AttemptTally, stop: CampaignStop) -> int:
        """Returns the place up to which the slice was worked through."""
        part = slice_.params
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
            now = await self._clock.now()
            end = min(part.end, done + pace.rows)
            due = await self._rows.write(
                campaign.id,
                part.page,
                slice_.row_ids_of(done, end),
                expires_at=campaign.expires_at,
                now=now,
                # Later, an account without a row may have been told: retention has taken the row.
                add_missing=now < campaign.created_at + self._retention,
                is_first_visit=not slice_.page.is_visited,
            )
            if due:
                ids = [str(row_id) for row_id in due]
                await self._deliver_rows(notification_ids=ids, tally=tally, stop=stop)
            if stop.is_set():
                # What of the chunk has gone out is found done when it is delivered again.
                break
            pace.sent(len(due))
            done = end
        if not stop.is_set():
            # The next slice begins where this one's time ends.
            await pace.wait(stop.told)
        return done

    async def _is_open(self, app_id: str, stopped: asyncio.Event, deadline: float) -> bool:
        """Wait for the provider, at most until `deadline` of the monotonic clock; whether time is left."""
        left = deadline - time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, left)):
                await self._wait_open(app_id=app_id, stopped=stopped)
        except TimeoutError:
            return False
        return left > 0

    async def _report(self, slice_: _Slice, done: int, tally: AttemptTally) -> SliceReport:
        number = slice_.params.page
        page = await self._rows.tally(number, slice_.page.account_ids, slice_.row_ids)
        await self._pages.store_tally(slice_.campaign_id, number, page.counts, retry_at=page.open_until)
        now = await self._clock.now()
        retry_in = None if page.open_until is None else max(0.0, (page.open_until - now).total_seconds())
        return SliceReport(
            page=number,
            done=done,
            counts=page.counts,
            retry_in_seconds=retry_in,
            attempts=tally.attempts,
            errors=tally.errors,
            latencies=tally.latencies,
        )


@dataclass(frozen=True, slots=True)
class _Slice:
    """What is to be delivered of a page, the page as it was read, and the id of each account's row."""

    params: SliceParams
    campaign_id: ObjectId
    page: CampaignPage
    row_ids: Mapping[str, ObjectId]

    def row_ids_of(self, start: int, end: int) -> dict[str, ObjectId]:
        return {account_id: self.row_ids[account_id] for account_id in self.page.account_ids[start:end]}


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

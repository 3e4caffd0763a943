"""Connects the campaign's worker to the campaign service; nothing here decides anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from temporalio import activity

from modules.application.activity_boundary import heartbeating, without_content
from modules.application.errors import ServiceError
from modules.campaign.campaign_service import CampaignService
from modules.campaign.run_types import (
    CampaignParams,
    Collected,
    CollectParams,
    FailedRunParams,
    RecordedWill,
    RecordStateParams,
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
from modules.logger.logger_service import get_logger
from modules.notification.types import RESTART_ACTIVITY

ResultT = TypeVar("ResultT")


class CampaignActivities:
    """The activities of campaigns. All heartbeat while they work."""

    def __init__(self, campaigns: type[CampaignService]) -> None:
        self._campaigns = campaigns

    def all(self) -> list[Callable[..., Any]]:
        return [
            self.plan,
            self.collect,
            self.deliver_slice,
            self.cancel_rest,
            self.record_state,
            self.look,
            self.count_failed_run,
            self.restart,
        ]

    @activity.defn(name=PLAN_ACTIVITY)
    async def plan(self, params: CampaignParams) -> None:
        """Walk the audience and write what would be sent into the campaign's record."""
        async with heartbeating():
            await without_content(self._campaigns.plan_async(params=params))

    @activity.defn(name=COLLECT_ACTIVITY)
    async def collect(self, params: CollectParams) -> Collected:
        """Store the audience's next pages."""
        async with heartbeating():
            return await without_content(self._campaigns.collect_audience_async(params=params))

    @activity.defn(name=SLICE_ACTIVITY)
    async def deliver_slice(self, params: SliceParams) -> SliceReport:
        """Deliver a slice; one that Temporal cancels, or whose process ends, reports how far it got."""
        stopped = asyncio.Event()
        async with heartbeating():
            return await _stopping(
                without_content(self._campaigns.deliver_slice_async(params=params, stopped=stopped)),
                stopped,
            )

    @activity.defn(name=CANCEL_ACTIVITY)
    async def cancel_rest(self, params: CampaignParams) -> dict[str, int]:
        """Take what was not sent out of delivery; returns the campaign's final counts."""
        async with heartbeating():
            return await without_content(self._campaigns.cancel_rest_async(params=params))

    @activity.defn(name=RECORD_ACTIVITY)
    async def record_state(self, params: RecordStateParams) -> None:
        async with heartbeating():
            await without_content(self._campaigns.record_state_async(params=params))

    @activity.defn(name=LOOK_ACTIVITY)
    async def look(self, params: CampaignParams) -> RecordedWill:
        """Read what the record says is to become of the campaign."""
        async with heartbeating():
            return await without_content(self._campaigns.look_async(params=params))

    @activity.defn(name=FAILURE_ACTIVITY)
    async def count_failed_run(self, params: FailedRunParams) -> RecordedWill:
        """Count a run that cannot go on; says whether its campaign ends for that."""
        async with heartbeating():
            return await without_content(self._campaigns.count_failed_run_async(params=params))

    @activity.defn(name=RESTART_ACTIVITY)
    async def restart(self) -> int:
        """Start a run for each unfinished campaign that has none, tell the others of commands that they may
        not have heard of; returns how many were started."""
        async with heartbeating():
            return await without_content(self._restart())

    async def _restart(self) -> int:
        restarted = 0
        for campaign_id in await self._campaigns.unfinished_async():
            try:
                restarted += await self._campaigns.start_run_async(campaign_id=campaign_id)
            except Exception as error:  # noqa: BLE001 - one campaign must not keep the scan from the due rows
                code = error.code if isinstance(error, ServiceError) else type(error).__name__
                get_logger().warning(
                    "campaign not restarted", action="scan.campaign_refused", id=campaign_id, error=code
                )
        return restarted


async def _stopping(work: Coroutine[Any, Any, ResultT], stopped: asyncio.Event) -> ResultT:
    """Await `work` to its own end; a cancellation, or the worker's shutdown, only sets `stopped`."""
    working = asyncio.create_task(work)
    ending = asyncio.create_task(activity.wait_for_worker_shutdown())
    ending.add_done_callback(lambda _: stopped.set())
    try:
        while not working.done():
            try:
                await asyncio.wait({working})
            except asyncio.CancelledError:
                stopped.set()
    finally:
        ending.cancel()
    return working.result()

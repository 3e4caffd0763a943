"""Campaigns as callers, operators and workers see them: accept, read, list, control, and what a run asks."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from modules.application.event_loop_thread import EventLoopThread
from modules.application.mongo_database import MongoDatabase
from modules.application.service_facade import ServiceFacade, blocking
from modules.campaign.internals.campaign_acceptance import RunCampaign
from modules.campaign.internals.campaign_control import CampaignRuns
from modules.campaign.internals.campaign_core import CampaignCore, assemble_campaigns
from modules.campaign.internals.campaign_params import CampaignRequest
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
from modules.campaign.types import Audience, Campaign, CampaignState, Rollout
from modules.config.types import Settings
from modules.notification.types import SendPushParams

# More than can be unfinished at one time.
UNFINISHED_LIMIT = 10_000


class CampaignService(ServiceFacade[CampaignCore]):
    """Tells audiences one thing each. Usable after `bootstrap` has run in the process.

    All methods raise NotBootstrappedError before bootstrap and UnavailableError when MongoDB does not answer;
    those that take a campaign's id CampaignNotFoundError.
    """

    @classmethod
    async def start(
        cls,
        *,
        database: MongoDatabase,
        loop_thread: EventLoopThread,
        settings: Settings,
        run: RunCampaign,
        runs: CampaignRuns,
    ) -> None:
        """Create the collections and bind the service to the loop; called by bootstrap, safe to repeat."""
        core = assemble_campaigns(
            settings,
            database,
            run=run,
            runs=runs,
        )
        await loop_thread.call(core.ensure)
        cls.bind(core, loop_thread)

    @classmethod
    async def send_push_to_audience_async(
        cls,
        *,
        audience: Audience,
        params: SendPushParams,
        campaign_key: str,
        expires_at: datetime | None = None,
        expires_in: timedelta | None = None,
        rate_per_second: float | None = None,
        rollout: Rollout | None = None,
        dry_run: bool = False,
    ) -> str:
        """Accept one message to an audience; returns the campaign's id.

        The request is durable before this returns, and so is a list of accounts: it is read once, by pages,
        in a thread. The same `campaign_key` with the same audience, content, rollout and `dry_run` returns
        the first id and sends nothing twice. Preferences are obeyed. `rate_per_second` counts accounts; a
        `dry_run` only works out the campaign's `plan`. It expires as one push does.

        Raises InvalidInputError with every problem, nothing left; CampaignKeyConflictError;
        CampaignDeferredError, which carries the id, when Temporal cannot be reached;
        CampaignUnconfirmedError with the id of what may be recorded, and may be sent.
        """
        request = CampaignRequest(
            audience=audience,
            params=params,
            campaign_key=campaign_key,
            expires_at=expires_at,
            expires_in=expires_in,
            rate_per_second=rate_per_second,
            rollout=rollout,
            dry_run=dry_run,
        )
        return await cls._on_core(lambda core: core.acceptance.accept(request))

    @classmethod
    async def get_campaign_async(cls, *, campaign_id: str) -> Campaign:
        """One campaign with its counts as its pages have them."""
        return await cls._on_core(lambda core: core.reader.get(campaign_id))

    @classmethod
    async def list_campaigns_async(cls, *, limit: int = 50, before: datetime | None = None) -> list[Campaign]:
        """Campaigns, newest first, at most `limit` (1 to 100), created before `before`."""
        return await cls._on_core(lambda core: core.reader.newest(limit=limit, before=before))

    @classmethod
    async def pause_campaign_async(cls, *, campaign_id: str) -> Campaign:
        """Send nothing more until it is resumed; returns once nothing is being sent.

        This and the other three are recorded first, and hold from then on. They can be repeated: what is so
        already stays so. They raise CampaignFinishedError, CampaignDryRunError, ConflictError with the run's
        own code, and CampaignCommandDeferredError when no worker has confirmed it within a minute or Temporal
        is away: then it is recorded and obeyed all the same.
        """
        return await cls._on_core(lambda core: core.control.pause(campaign_id))

    @classmethod
    async def resume_campaign_async(cls, *, campaign_id: str) -> Campaign:
        """Go on with a campaign that is paused or halted."""
        return await cls._on_core(lambda core: core.control.resume(campaign_id))

    @classmethod
    async def cancel_campaign_async(cls, *, campaign_id: str) -> Campaign:
        """End it for good; returns it once nothing is being sent and the rest is taken out of delivery."""
        return await cls._on_core(lambda core: core.control.cancel(campaign_id))

    @classmethod
    async def set_campaign_rate_async(cls, *, campaign_id: str, rate_per_second: float | None) -> Campaign:
        """Deliver to as many accounts a second from now on; None: as fast as the provider allows.

        Raises InvalidInputError as well: for a rate that is none, and for a topic or condition.
        """
        return await cls._on_core(lambda core: core.control.set_rate(campaign_id, rate_per_second))

    @classmethod
    async def collect_audience_async(cls, *, params: CollectParams) -> Collected:
        """Store up to 50 further pages of a search; a list or broadcast is complete at once.

        Repeated, it finds what the first one stored; the size of the audience is said once for all. Pages but
        the last one have 1,000 accounts. Raises CampaignFinishedError and CampaignDryRunError.
        """
        return await cls._on_core(
            lambda core: core.run_steps.collect(params.campaign_id, first_page=params.first_page)
        )

    @classmethod
    async def deliver_slice_async(cls, *, params: SliceParams, stopped: asyncio.Event) -> SliceReport:
        """Write and send a slice's rows; ends after the chunk under way when `stopped` is set.

        Repeated, it sends what is still open. Raises NotFoundError without such a campaign or page.
        """
        return await cls._on_core(lambda core: core.delivery.deliver(params, stopped))

    @classmethod
    async def record_state_async(cls, *, params: RecordStateParams) -> None:
        """Record where a campaign stands; a final state stays, and leaves record and pages to retention.

        A wish that this fulfils is taken away.
        """
        state = CampaignState(params.state)
        await cls._on_core(
            lambda core: core.run_steps.record_state(params.campaign_id, state, reason=params.reason)
        )

    @classmethod
    async def cancel_rest_async(cls, *, params: CampaignParams) -> dict[str, int]:
        """Take every pending row out of delivery and count all pages anew; returns their sums.

        Accounts without a row count as cancelled. Call it when no slice is under way any more.
        """
        return await cls._on_core(lambda core: core.run_steps.cancel_rest(params.campaign_id))

    @classmethod
    async def look_async(cls, *, params: CampaignParams) -> RecordedWill:
        """What the record says is to become of a campaign: its state, a wish, its rate."""
        return await cls._on_core(lambda core: core.run_steps.look(params.campaign_id))

    @classmethod
    async def count_failed_run_async(cls, *, params: FailedRunParams) -> RecordedWill:
        """Count a run that cannot go on, once; what the record says then: `failed` when it ends for that."""
        return await cls._on_core(lambda core: core.run_steps.count_failed_run(params))

    @classmethod
    async def counts_async(cls, *, campaign_id: str) -> dict[str, int]:
        """The sums of the pages' tallies, with the words of a tally; accounts without a row are in none."""
        return await cls._on_core(lambda core: core.reader.counts(campaign_id))

    @classmethod
    async def plan_async(cls, *, params: CampaignParams) -> None:
        """Walk the audience of a dry run and end it with its plan; raises ConflictError for any other."""
        await cls._on_core(lambda core: core.run_steps.plan(params.campaign_id))

    @classmethod
    async def unfinished_async(cls, *, limit: int = UNFINISHED_LIMIT) -> list[str]:
        """Ids of at most `limit` campaigns that are in no final state."""
        return await cls._on_core(lambda core: core.reader.unfinished(limit=limit))

    @classmethod
    async def start_run_async(cls, *, campaign_id: str) -> bool:
        """Start the run of an unfinished campaign, dry or not; False when it has one or is finished.

        One that is under way is told of a command that it may not have heard of. After some runs that
        failed, the next one only ends the campaign. Raises UnavailableError without Temporal.
        """
        return await cls._on_core(lambda core: core.control.start(campaign_id))

    send_push_to_audience = blocking(send_push_to_audience_async)
    get_campaign = blocking(get_campaign_async)
    list_campaigns = blocking(list_campaigns_async)
    pause_campaign = blocking(pause_campaign_async)
    resume_campaign = blocking(resume_campaign_async)
    cancel_campaign = blocking(cancel_campaign_async)
    set_campaign_rate = blocking(set_campaign_rate_async)

"""Accepts campaigns: stores the audience where it is a list, records the request once, starts its run."""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Protocol

from bson import ObjectId

from modules.application.errors import ConfigurationError, InvalidInputError, Problem, UnavailableError
from modules.application.event_loop_thread import is_cut, told_if_cut
from modules.application.mongo_database import DatabaseClock
from modules.notification.audience_types import AccountList, Audience, DeviceQuery, Topic, TopicCondition
from modules.notification.campaign_types import CampaignRunParams
from modules.notification.errors import (
    CampaignDeferredError,
    CampaignKeyConflictError,
    CampaignNotFoundError,
    CampaignUnconfirmedError,
)
from modules.notification.internals.campaign_audience import CampaignAudience
from modules.notification.internals.campaign_params import CampaignRequest
from modules.notification.internals.fcm_params import is_only_too_late
from modules.notification.internals.push_notification_writer import NewPush, new_row
from modules.notification.internals.store.campaign_model import (
    AudienceKind,
    AudienceModel,
    CampaignModel,
    RolloutModel,
    content_of,
)
from modules.notification.internals.store.campaign_page_repository import CampaignPageRepository, Extent
from modules.notification.internals.store.campaign_repository import CampaignRepository
from modules.notification.internals.store.push_notification_model import BroadcastModel
from modules.notification.types import BroadcastKind, Priority


class RunCampaign(Protocol):
    """Starts a campaign's workflow; False when it is under way.

    Raises UnavailableError or ConfigurationError when Temporal cannot be reached.
    """

    async def __call__(self, *, params: CampaignRunParams) -> bool: ...


class CampaignAcceptance:
    """Lives on one event loop. Methods raise UnavailableError when MongoDB does not answer."""

    def __init__(
        self,
        *,
        campaigns: CampaignRepository,
        pages: CampaignPageRepository,
        audience: CampaignAudience,
        clock: DatabaseClock,
        run: RunCampaign,
        link_base: str | None,
    ) -> None:
        self._campaigns = campaigns
        self._pages = pages
        self._audience = audience
        self._clock = clock
        self._run = run
        self._link_base = link_base

    async def accept(self, request: CampaignRequest) -> str:
        """See NotificationService.send_push_to_audience."""
        now = await self._clock.now()
        too_late = None
        try:
            request.validate(now=now, link_base=self._link_base)
        except InvalidInputError as error:
            if not is_only_too_late(error.problems):
                raise
            too_late = error
        known = await self._campaigns.find_by_key(request.campaign_key)
        if known is not None:
            campaign = await self._confirmed(request, known, now)
        elif too_late is not None:
            raise too_late
        else:
            campaign = await self._recorded(request, now)
        try:
            await self.start(campaign)
        except asyncio.CancelledError:
            # It is recorded: whoever scans next starts it, and the caller gets its id.
            if not is_cut():
                raise
        return str(campaign.id)

    async def start(self, campaign: CampaignModel) -> bool:
        """Start the campaign's run unless it is finished or has one; raises CampaignDeferredError."""
        if campaign.is_final:
            return False
        params = CampaignRunParams(campaign_id=str(campaign.id), dry_run=campaign.dry_run)
        try:
            return await self._run(params=params)
        except (UnavailableError, ConfigurationError) as error:
            raise CampaignDeferredError(str(campaign.id), error) from error

    async def _confirmed(
        self, request: CampaignRequest, known: CampaignModel, now: datetime
    ) -> CampaignModel:
        """The campaign that has the key already; raises CampaignKeyConflictError when it is another one."""
        digest = None
        if isinstance(request.audience, AccountList):
            digest = await self._audience.digest_of(request.audience.account_ids)
        if _new_campaign(known.id, request, now, digest=digest).fingerprint != known.fingerprint:
            raise CampaignKeyConflictError
        return await self._held_by_majority(known)

    async def _held_by_majority(self, campaign: CampaignModel) -> CampaignModel:
        """The campaign of an earlier call, which may be one that no majority had confirmed."""
        with told_if_cut(CampaignUnconfirmedError, str(campaign.id)):
            try:
                is_there = await self._campaigns.confirm(campaign.id)
            except UnavailableError as error:
                raise CampaignUnconfirmedError(str(campaign.id)) from error
        if not is_there:
            raise CampaignNotFoundError
        return campaign

    async def _recorded(self, request: CampaignRequest, now: datetime) -> CampaignModel:
        campaign_id = ObjectId()
        if isinstance(request.audience, AccountList):
            stored = await self._audience.store_list(campaign_id, request.audience.account_ids)
            if not stored.extent.pages:
                reason = "must name at least one account"
                raise InvalidInputError([Problem("empty_audience", "audience.account_ids", reason)])
            campaign = _new_campaign(campaign_id, request, now, digest=stored.digest, extent=stored.extent)
        elif (broadcast := _broadcast(request.audience)) is None:
            campaign = _new_campaign(campaign_id, request, now)
        else:
            # One page of one: the kind stands where a row has its account.
            stored = await self._audience.store_list(campaign_id, [broadcast.kind.value])
            campaign = _new_campaign(campaign_id, request, now, extent=stored.extent)
        return await self._inserted(campaign)

    async def _inserted(self, campaign: CampaignModel) -> CampaignModel:
        """The campaign, or the one that another call has recorded under its key meanwhile."""
        with told_if_cut(CampaignUnconfirmedError, str(campaign.id)):
            try:
                is_new = await self._campaigns.insert(campaign)
            except UnavailableError as error:
                if error.may_have_happened:
                    raise CampaignUnconfirmedError(str(campaign.id)) from error
                raise
            if is_new:
                # What MongoDB does not take now, the run's first step says again.
                with suppress(UnavailableError):
                    await self._pages.keep(campaign.id)
                return campaign
        await self._pages.delete(campaign.id)
        winner = await self._campaigns.find_by_key(campaign.campaign_key)
        if winner is None or winner.fingerprint != campaign.fingerprint:
            raise CampaignKeyConflictError
        return await self._held_by_majority(winner)


def _new_campaign(
    campaign_id: ObjectId,
    request: CampaignRequest,
    now: datetime,
    *,
    digest: str | None = None,
    extent: Extent | None = None,
) -> CampaignModel:
    """`digest` stands for a list's ids."""
    row = new_row(NewPush(account_id="", params=request.params, priority=Priority.NORMAL), now)
    row.broadcast = _broadcast(request.audience)
    rollout = request.rollout
    campaign = CampaignModel(
        id=campaign_id,
        campaign_key=request.campaign_key,
        fingerprint="",
        audience=_audience_model(request.audience),
        content=content_of(row),
        expires_at=request.expiry(now=now),
        rate_per_second=request.rate_per_second,
        rollout=None if rollout is None else RolloutModel.model_validate(asdict(rollout)),
        dry_run=request.dry_run,
        accounts=None if extent is None else extent.accounts,
        pages=None if extent is None else extent.pages,
        created_at=now,
        updated_at=now,
    )
    return campaign.model_copy(update={"fingerprint": _fingerprint(campaign, digest)})


def _fingerprint(campaign: CampaignModel, digest: str | None) -> str:
    """SHA-256 over what makes two requests the same; two with one key must agree in it.

    Not `expires_at` and `rate_per_second`: a caller who tries again reckons the one from its new now, and the
    other may have been changed since.
    """
    said = {
        "audience": campaign.audience.model_dump(mode="json"),
        "account_ids": digest,
        "broadcast": campaign.content.get("broadcast"),
        "content": campaign.content["content_fingerprint"],
        "rollout": None if campaign.rollout is None else campaign.rollout.model_dump(),
        "dry_run": campaign.dry_run,
    }
    canonical = json.dumps(said, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _broadcast(audience: Audience) -> BroadcastModel | None:
    match audience:
        case Topic():
            return BroadcastModel(kind=BroadcastKind.TOPIC, address=audience.name, app_id=audience.app_id)
        case TopicCondition():
            return BroadcastModel(
                kind=BroadcastKind.CONDITION, address=audience.expression, app_id=audience.app_id
            )
        case _:
            return None


def _audience_model(audience: Audience) -> AudienceModel:
    match audience:
        case AccountList():
            return AudienceModel(kind=AudienceKind.LIST)
        case DeviceQuery():
            said = asdict(audience)
            # One moment has one fingerprint, whatever zone it is given in.
            for name in ("last_seen_after", "last_seen_before"):
                said[name] = said[name] and said[name].astimezone(UTC)
            return AudienceModel(kind=AudienceKind.QUERY, **said)
        case _:
            return AudienceModel(kind=AudienceKind.BROADCAST)

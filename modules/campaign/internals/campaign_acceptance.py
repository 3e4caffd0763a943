"""Accepts campaigns: stores the audience where it is a list, records the request once, starts its run."""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC
from typing import Protocol

from bson import ObjectId

from modules.application.errors import ConfigurationError, InvalidInputError, Problem, UnavailableError
from modules.application.event_loop_thread import is_cut, told_if_cut
from modules.application.param_rules import is_only_expired
from modules.campaign.errors import (
    CampaignDeferredError,
    CampaignKeyConflictError,
    CampaignNotFoundError,
    CampaignUnconfirmedError,
)
from modules.campaign.internals.campaign_audience import CampaignAudience
from modules.campaign.internals.campaign_params import CampaignRequest, is_broadcast
from modules.campaign.internals.store.campaign_model import (
    AudienceKind,
    AudienceModel,
    CampaignModel,
    RolloutModel,
)
from modules.campaign.internals.store.campaign_page_repository import CampaignPageRepository, Extent
from modules.campaign.internals.store.campaign_repository import CampaignRepository
from modules.campaign.run_types import CampaignRunParams
from modules.campaign.types import AccountList, Audience, DeviceQuery, Topic, TopicCondition
from modules.notification.bulk_service import BulkService
from modules.notification.bulk_types import Broadcast, ContentCheck
from modules.notification.types import BroadcastKind


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
        run: RunCampaign,
    ) -> None:
        self._campaigns = campaigns
        self._pages = pages
        self._audience = audience
        self._run = run

    async def accept(self, request: CampaignRequest) -> str:
        """See CampaignService.send_push_to_audience."""
        checked = await BulkService.check_async(
            params=request.params,
            expires_at=request.expires_at,
            expires_in=request.expires_in,
            is_broadcast=is_broadcast(request.audience),
        )
        too_late = None
        try:
            request.validate(checked.problems)
        except InvalidInputError as error:
            if not is_only_expired(error.problems):
                raise
            too_late = error
        known = await self._campaigns.find_by_key(request.campaign_key)
        if known is not None:
            campaign = await self._confirmed(request, known, checked)
        elif too_late is not None:
            raise too_late
        else:
            campaign = await self._recorded(request, checked)
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
        self, request: CampaignRequest, known: CampaignModel, checked: ContentCheck
    ) -> CampaignModel:
        """The campaign that has the key already; raises CampaignKeyConflictError when it is another one."""
        digest = None
        if isinstance(request.audience, AccountList):
            digest = await self._audience.digest_of(request.audience.account_ids)
        wanted = _new_campaign(known.id, request, checked, digest=digest)
        if wanted.fingerprint != known.fingerprint:
            raise CampaignKeyConflictError
        return await self._held_by_majority(known)

    async def _held_by_majority(self, campaign: CampaignModel) -> CampaignModel:
        """The campaign of an earlier call, which may be one that no majority had confirmed."""
        with told_if_cut(lambda: CampaignUnconfirmedError(str(campaign.id))):
            try:
                is_there = await self._campaigns.confirm(campaign.id)
            except UnavailableError as error:
                raise CampaignUnconfirmedError(str(campaign.id)) from error
        if not is_there:
            raise CampaignNotFoundError
        return campaign

    async def _recorded(self, request: CampaignRequest, checked: ContentCheck) -> CampaignModel:
        campaign_id, digest, extent = ObjectId(), None, None
        if isinstance(request.audience, AccountList):
            stored = await self._audience.store_list(campaign_id, request.audience.account_ids)
            if not stored.extent.pages:
                reason = "must name at least one account"
                raise InvalidInputError([Problem("empty_audience", "audience.account_ids", reason)])
            digest, extent = stored.digest, stored.extent
        elif (broadcast := _broadcast(request.audience)) is not None:
            # One page of one: the kind stands where a row has its account.
            extent = (await self._audience.store_list(campaign_id, [broadcast.kind.value])).extent
        campaign = _new_campaign(campaign_id, request, checked, digest=digest, extent=extent)
        return await self._inserted(campaign)

    async def _inserted(self, campaign: CampaignModel) -> CampaignModel:
        """The campaign, or the one that another call has recorded under its key meanwhile."""
        with told_if_cut(lambda: CampaignUnconfirmedError(str(campaign.id))):
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
    checked: ContentCheck,
    *,
    digest: str | None = None,
    extent: Extent | None = None,
) -> CampaignModel:
    """`digest` stands for a list's ids."""
    rollout = request.rollout
    content = BulkService.make_content(
        params=request.params, broadcast=_broadcast(request.audience), made_at=checked.checked_at
    )
    campaign = CampaignModel(
        id=campaign_id,
        campaign_key=request.campaign_key,
        fingerprint="",
        audience=_audience_model(request.audience),
        content=dict(content),
        expires_at=checked.expires_at,
        rate_per_second=request.rate_per_second,
        rollout=None if rollout is None else RolloutModel.model_validate(asdict(rollout)),
        dry_run=request.dry_run,
        accounts=None if extent is None else extent.accounts,
        pages=None if extent is None else extent.pages,
        created_at=checked.checked_at,
        updated_at=checked.checked_at,
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


def _broadcast(audience: Audience) -> Broadcast | None:
    match audience:
        case Topic():
            return Broadcast(kind=BroadcastKind.TOPIC, address=audience.name, app_id=audience.app_id)
        case TopicCondition():
            return Broadcast(
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

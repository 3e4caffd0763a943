"""Works out what a campaign would do and sends nothing: who is told, where, and what FCM says to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from modules.account.account_service import AccountService
from modules.application.run_all import run_all
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Device
from modules.notification.internals.campaign_audience import CampaignAudience
from modules.notification.internals.delivery.row_outcome import broadcast_target, device_target, payload_of
from modules.notification.internals.fcm_params import message_size_bytes
from modules.notification.internals.store.campaign_model import CampaignModel, PlanModel
from modules.notification.internals.store.campaign_rows import campaign_row_id, new_campaign_row
from modules.notification.internals.store.push_notification_model import PushNotificationModel
from modules.notification.types import PushPayload, PushTarget, SendPushResult
from modules.preference.preference_service import PreferenceService

SAMPLE_TARGETS = 10


class ValidatePush(Protocol):
    """Has the provider check a payload for 1 to 500 targets; nothing is delivered. One result a target."""

    async def __call__(self, *, targets: Sequence[PushTarget], payload: PushPayload) -> SendPushResult: ...


@dataclass(slots=True)
class _Found:
    """What the walk has counted so far."""

    accounts: int = 0
    devices: int = 0
    platforms: Counter[str] = field(default_factory=Counter)
    locales: Counter[str] = field(default_factory=Counter)
    suppressed: Counter[str] = field(default_factory=Counter)
    sample: list[PushTarget] = field(default_factory=list)

    def add(self, devices: Sequence[Device], locale: str) -> None:
        """An account that would be told, on these devices."""
        self.locales[locale] += 1
        self.devices += len(devices)
        self.platforms.update(device.platform.value for device in devices)
        if len(self.sample) < SAMPLE_TARGETS:
            self.sample.append(device_target(devices[0]))


class CampaignPlanner:
    """Asks the services that a delivery asks, a page of accounts at a time."""

    def __init__(self, audience: CampaignAudience, validate: ValidatePush, *, link_base: str | None) -> None:
        self._audience = audience
        self._validate = validate
        self._link_base = link_base

    async def plan(self, campaign: CampaignModel, *, now: datetime) -> PlanModel:
        """Walk the whole audience; raises UnavailableError when MongoDB does not answer."""
        row = _sample_row(campaign, now)
        found = _Found()
        if row.broadcast is None:
            async for account_ids in self._audience.pages_of(campaign):
                await self._count(row, account_ids, found)
        else:
            found.accounts = campaign.accounts or 0
            found.sample.append(broadcast_target(row.broadcast))
        codes: Counter[str] = Counter()
        if found.sample:
            said = await self._validate(targets=found.sample, payload=payload_of(row, now))
            codes.update(result.classification.code for result in said.results)
        return PlanModel(
            accounts=found.accounts,
            devices=found.devices,
            platforms=dict(found.platforms),
            locales=dict(found.locales),
            suppressed=dict(found.suppressed),
            payload_bytes=message_size_bytes(
                row.to_params(),
                immediate=False,
                has_expiry=campaign.expires_at is not None,
                link_base=self._link_base,
            ),
            sample=dict(codes),
        )

    async def _count(self, row: PushNotificationModel, account_ids: Sequence[str], found: _Found) -> None:
        """In the order of a delivery: who does not want it is not asked for devices."""
        decisions, devices, locales = await run_all(
            PreferenceService.decisions_for_async(questions={(each, row.category) for each in account_ids}),
            DeviceTokenService.active_devices_for_async(account_ids=account_ids, app_id=row.app_id),
            AccountService.locales_of_async(account_ids=account_ids),
        )
        found.accounts += len(account_ids)
        for account_id in account_ids:
            if not decisions[account_id, row.category].allowed:
                found.suppressed["preference_opted_out"] += 1
            elif not devices[account_id]:
                found.suppressed["no_active_devices"] += 1
            else:
                found.add(devices[account_id], locales[account_id])


def _sample_row(campaign: CampaignModel, now: datetime) -> PushNotificationModel:
    """A row of the campaign for nobody, as a delivery would read it."""
    row_id = campaign_row_id(campaign.id, "")
    row = new_campaign_row(row_id, campaign.id, 0, "", expires_at=campaign.expires_at, now=now)
    return PushNotificationModel.model_validate({**campaign.content, **row})

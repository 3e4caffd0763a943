"""Works out what a campaign would do and sends nothing: who is told, where, and what FCM says to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from modules.account.account_service import AccountService
from modules.application.run_all import run_all
from modules.campaign.internals.campaign_audience import CampaignAudience
from modules.campaign.internals.store.campaign_model import AudienceKind, CampaignModel, PlanModel
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Device
from modules.notification.bulk_service import BulkService
from modules.preference.preference_service import PreferenceService

SAMPLE_TARGETS = 10


@dataclass(slots=True)
class _Found:
    """What the walk has counted so far."""

    accounts: int = 0
    devices: int = 0
    platforms: Counter[str] = field(default_factory=Counter)
    locales: Counter[str] = field(default_factory=Counter)
    suppressed: Counter[str] = field(default_factory=Counter)
    sample: list[Device] = field(default_factory=list)

    def add(self, devices: Sequence[Device], locale: str) -> None:
        """An account that would be told, on these devices."""
        self.locales[locale] += 1
        self.devices += len(devices)
        self.platforms.update(device.platform.value for device in devices)
        if len(self.sample) < SAMPLE_TARGETS:
            self.sample.append(devices[0])


class CampaignPlanner:
    """Asks the services that a delivery asks, a page of accounts at a time."""

    def __init__(self, audience: CampaignAudience) -> None:
        self._audience = audience

    async def plan(self, campaign: CampaignModel) -> PlanModel:
        """Walk the whole audience, then try the content; raises UnavailableError without MongoDB."""
        found = _Found()
        if campaign.audience.kind is AudienceKind.BROADCAST:
            found.accounts = campaign.accounts or 0
        else:
            async for account_ids in self._audience.pages_of(campaign):
                await self._count(campaign, account_ids, found)
        dry_run = await BulkService.dry_run_async(
            content=campaign.content, expires_at=campaign.expires_at, devices=found.sample
        )
        return PlanModel(
            accounts=found.accounts,
            devices=found.devices,
            platforms=dict(found.platforms),
            locales=dict(found.locales),
            suppressed=dict(found.suppressed),
            payload_bytes=dry_run.payload_bytes,
            sample=dict(dry_run.codes),
        )

    async def _count(self, campaign: CampaignModel, account_ids: Sequence[str], found: _Found) -> None:
        """In the order of a delivery: who does not want it is not asked for devices."""
        category, app_id = campaign.content["category"], campaign.content["app_id"]
        decisions, devices, locales = await run_all(
            PreferenceService.decisions_for_async(questions={(each, category) for each in account_ids}),
            DeviceTokenService.active_devices_for_async(account_ids=account_ids, app_id=app_id),
            AccountService.locales_of_async(account_ids=account_ids),
        )
        found.accounts += len(account_ids)
        for account_id in account_ids:
            if not decisions[account_id, category].allowed:
                found.suppressed["preference_opted_out"] += 1
            elif not devices[account_id]:
                found.suppressed["no_active_devices"] += 1
            else:
                found.add(devices[account_id], locales[account_id])

"""Puts the parts of the notification module together for one event loop."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import uuid4

from modules.application.mongo_database import MongoDatabase
from modules.config.types import RateSettings, Settings
from modules.notification.internals.channel_registry import Provider, create_channel
from modules.notification.internals.delivery.batch_turns import BatchTurns
from modules.notification.internals.delivery.delivery_group import DeliveryGroup
from modules.notification.internals.delivery.due_delivery import DueDelivery
from modules.notification.internals.delivery.report_waiters import ReportWaiters
from modules.notification.internals.delivery.row_delivery import RowDelivery
from modules.notification.internals.delivery.send_guard import DeliveryLane
from modules.notification.internals.domain.backoff import Backoff
from modules.notification.internals.domain.rate_quota import RateLimits
from modules.notification.internals.domain.settlement import Fold
from modules.notification.internals.guards.provider_gate import ProviderGate
from modules.notification.internals.guards.rate_governor import RateGovernor
from modules.notification.internals.guards.send_permits import SendPermits
from modules.notification.internals.intake.account_erasure import AccountErasure
from modules.notification.internals.intake.request_acceptance import RequestAcceptance, RunWorker
from modules.notification.internals.intake.row_commands import RowCommands
from modules.notification.internals.intake.row_queries import RowQueries
from modules.notification.internals.push_notification_reader import PushNotificationReader
from modules.notification.internals.push_notification_writer import PushNotificationWriter
from modules.notification.internals.store.push_notification_repository import PushNotificationRepository
from modules.notification.internals.store.rate_quota_repository import RateQuotaRepository
from modules.notification.internals.store.rows.row_claim_repository import RowClaimRepository
from modules.notification.internals.store.rows.row_erasure import PushNotificationErasure
from modules.notification.types import Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationCore:
    """What NotificationService is bound to."""

    repository: PushNotificationRepository
    rates: RateQuotaRepository
    acceptance: RequestAcceptance
    commands: RowCommands
    queries: RowQueries
    delivery: RowDelivery
    group: DeliveryGroup
    due_delivery: DueDelivery
    turns: BatchTurns
    reader: PushNotificationReader
    writer: PushNotificationWriter
    lanes: Mapping[Priority, DeliveryLane]
    governor: RateGovernor
    erasure: AccountErasure

    async def ensure(self) -> None:
        """Create the collections and their indexes, or bring them up to date."""
        await self.repository.ensure()
        await self.rates.ensure()

    async def warm_up(self) -> None:
        """Have every channel read its credentials; what cannot be used is logged and closes itself alone."""
        channels = [channel for lane in self.lanes.values() for channel in lane.channels.values()]
        await asyncio.gather(*(channel.warm_up() for channel in channels))

    async def close(self) -> None:
        """Let deliveries end, those at once that wait for permits, then release the channels' connections."""
        await self.governor.close()
        await self.delivery.drain()
        for lane in self.lanes.values():
            for channel in lane.channels.values():
                await channel.close()


def assemble(settings: Settings, database: MongoDatabase, run_worker: RunWorker) -> NotificationCore:
    """Build the core. Raises ConfigurationError when a provider's settings cannot be used."""
    repository = PushNotificationRepository(
        database.database,
        retention_days=settings.retention.finished_days,
    )
    claims = RowClaimRepository(database.database, max_lost_claims=settings.delivery.max_lost_claims)
    writer = PushNotificationWriter(repository, database.clock)
    reader = PushNotificationReader(repository, database.clock)
    waiters = ReportWaiters()
    rates = RateQuotaRepository(database.database)
    app_ids = frozenset(settings.fcm.all_apps())
    governor = RateGovernor(rates, database.clock, _limits(settings.rate), app_ids=app_ids)
    lanes = {priority: _lane(settings, priority, governor, app_ids) for priority in Priority}
    delivery = RowDelivery(
        writer=writer,
        claims=claims,
        reader=reader,
        clock=database.clock,
        lanes=lanes,
        governor=governor,
        waiters=waiters,
        owner=f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}",
        lease_seconds=settings.delivery.lease_seconds,
    )
    turns = BatchTurns()
    return NotificationCore(
        repository=repository,
        rates=rates,
        acceptance=RequestAcceptance(
            writer=writer,
            clock=database.clock,
            waiters=waiters,
            run_worker=run_worker,
            link_base=settings.fcm.longest_link_base(),
        ),
        commands=RowCommands(writer, reader),
        queries=RowQueries(reader),
        delivery=delivery,
        group=DeliveryGroup(delivery.deliver),
        due_delivery=DueDelivery(reader, delivery, turns),
        turns=turns,
        reader=reader,
        writer=writer,
        lanes=lanes,
        governor=governor,
        erasure=AccountErasure(
            PushNotificationErasure(database.database), patience_seconds=settings.delivery.lease_seconds
        ),
    )


async def check_providers(settings: Settings, app_id: str) -> None:
    """Ask every provider to check the app's credentials and one message; raises what is wrong."""
    for provider in Provider:
        channel = create_channel(provider, settings)
        try:
            await channel.check_provider(app_id)
        finally:
            await channel.close()


def _limits(settings: RateSettings) -> RateLimits:
    return RateLimits(
        quota_per_minute=settings.quota_per_minute,
        ramp_seconds=settings.ramp_seconds,
        reserved_share=settings.immediate_share,
    )


def _lane(
    settings: Settings, priority: Priority, governor: RateGovernor, app_ids: Collection[str]
) -> DeliveryLane:
    """Channels of its own: what one lane waits for never holds up the other."""
    delivery, immediate = settings.delivery, priority is Priority.IMMEDIATE
    channels = {
        provider.value: ProviderGate(create_channel(provider, settings), delivery) for provider in Provider
    }
    cap_seconds = delivery.immediate_max_backoff_seconds if immediate else delivery.max_backoff_seconds
    return DeliveryLane(
        channels=channels,
        permits=SendPermits(governor, app_ids, immediate=immediate),
        fold=Fold(
            Backoff(cap_seconds),
            # Jitter needs no cryptographic randomness.
            random.random,
            patience_seconds=(
                delivery.patience_immediate_seconds if immediate else delivery.patience_normal_seconds
            ),
        ),
    )

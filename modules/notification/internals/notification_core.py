"""Puts the parts of the notification module together for one event loop."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

from modules.application.mongo_database import MongoDatabase
from modules.config.types import Settings
from modules.notification.internals.backoff import Backoff
from modules.notification.internals.channels.registry import Provider, create_channel
from modules.notification.internals.outcome_board import OutcomeBoard
from modules.notification.internals.provider_gate import ProviderGate
from modules.notification.internals.push_delivery import DeliveryLane, PushDelivery
from modules.notification.internals.push_notification_reader import PushNotificationReader
from modules.notification.internals.push_notification_writer import PushNotificationWriter
from modules.notification.internals.push_sender import PushSender, RunWorker
from modules.notification.internals.settlement import Fold
from modules.notification.internals.store.push_notification_repository import PushNotificationRepository
from modules.notification.types import Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationCore:
    """What NotificationService is bound to."""

    repository: PushNotificationRepository
    sender: PushSender
    delivery: PushDelivery
    reader: PushNotificationReader
    writer: PushNotificationWriter
    lanes: Mapping[Priority, DeliveryLane]

    async def warm_up(self) -> None:
        """Have every channel read its credentials; raises ConfigurationError for one that cannot be used."""
        channels = [channel for lane in self.lanes.values() for channel in lane.channels.values()]
        await asyncio.gather(*(channel.warm_up() for channel in channels))

    async def close(self) -> None:
        """Let deliveries end, then release the channels' connections."""
        await self.delivery.drain()
        for lane in self.lanes.values():
            for channel in lane.channels.values():
                await channel.close()


def assemble(settings: Settings, database: MongoDatabase, run_worker: RunWorker) -> NotificationCore:
    """Build the core. Raises ConfigurationError when a provider's settings cannot be used."""
    repository = PushNotificationRepository(
        database.database, retention_days=settings.retention.finished_days
    )
    writer = PushNotificationWriter(repository, database.clock)
    reader = PushNotificationReader(repository, database.clock)
    board = OutcomeBoard()
    caps = {
        Priority.IMMEDIATE: settings.delivery.immediate_max_backoff_seconds,
        Priority.NORMAL: settings.delivery.max_backoff_seconds,
    }
    lanes = {priority: _lane(settings, cap) for priority, cap in caps.items()}
    return NotificationCore(
        repository=repository,
        sender=PushSender(
            writer=writer, reader=reader, clock=database.clock, board=board, run_worker=run_worker
        ),
        delivery=PushDelivery(
            writer=writer,
            reader=reader,
            clock=database.clock,
            lanes=lanes,
            board=board,
            owner=f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}",
            lease_seconds=settings.delivery.lease_seconds,
        ),
        reader=reader,
        writer=writer,
        lanes=lanes,
    )


async def check_providers(settings: Settings, app_id: str) -> None:
    """Ask every provider to check the app's credentials and one message; raises what is wrong."""
    for provider in Provider:
        channel = create_channel(provider, settings)
        try:
            await channel.check_provider(app_id)
        finally:
            await channel.close()


def _lane(settings: Settings, cap_seconds: float) -> DeliveryLane:
    """Channels of its own: what one lane waits for never holds up the other."""
    return DeliveryLane(
        channels={
            provider.value: ProviderGate(create_channel(provider, settings), settings.delivery)
            for provider in Provider
        },
        # Jitter needs no cryptographic randomness.
        fold=Fold(Backoff(cap_seconds), random.random),
    )

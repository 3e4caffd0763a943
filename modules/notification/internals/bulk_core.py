"""Puts the parts that bulks need together, on those that deliver all rows."""

from __future__ import annotations

from dataclasses import dataclass

from modules.application.mongo_database import MongoDatabase
from modules.config.types import Settings
from modules.notification.internals.channel_registry import Provider
from modules.notification.internals.delivery.bulk_delivery import BulkDelivery
from modules.notification.internals.intake.bulk_content import BulkContent
from modules.notification.internals.intake.content_dry_run import ContentDryRun
from modules.notification.internals.notification_core import NotificationCore
from modules.notification.internals.store.rows.bulk_row_repository import BulkRowRepository
from modules.notification.types import Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkCore:
    """What BulkService is bound to."""

    content: BulkContent
    dry_run: ContentDryRun
    delivery: BulkDelivery
    rows: BulkRowRepository


def assemble_bulk(settings: Settings, database: MongoDatabase, core: NotificationCore) -> BulkCore:
    clock, link_base = database.clock, settings.fcm.longest_link_base()
    rows = BulkRowRepository(database.database)
    gates = core.lanes[Priority.NORMAL].channels
    return BulkCore(
        content=BulkContent(clock, link_base=link_base),
        dry_run=ContentDryRun(gates[Provider.FCM].validate_push, clock, link_base=link_base),
        delivery=BulkDelivery(
            rows=rows,
            delivery=core.delivery,
            turns=core.turns,
            clock=clock,
            gates=tuple(gates.values()),
            governor=core.governor,
        ),
        rows=rows,
    )

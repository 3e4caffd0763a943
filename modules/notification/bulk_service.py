"""One content for many accounts: checked, tried out, delivered and counted page by page."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from modules.application.service_facade import ServiceFacade
from modules.device_token.types import Device
from modules.notification.bulk_types import (
    Broadcast,
    BulkReport,
    Content,
    ContentCheck,
    DryRunResult,
    PageOutcome,
    PageRows,
)
from modules.notification.internals.bulk_core import BulkCore
from modules.notification.internals.intake.bulk_content import address_problem, make_content
from modules.notification.internals.store.rows.bulk_rows import page_rows
from modules.notification.types import BroadcastKind, SendingStop, SendPushParams


class BulkService(ServiceFacade[BulkCore]):
    """What campaigns are built on. Started and stopped with NotificationService.

    Whoever has a bulk sent keeps its content in a document of `campaigns`, as the field `content`, before a
    row of it is delivered, and as long as there are rows; `bulk_id` is that document's id. Methods that wait
    raise NotBootstrappedError before bootstrap and UnavailableError when MongoDB does not answer.
    """

    @classmethod
    async def check_async(
        cls,
        *,
        params: SendPushParams,
        expires_at: datetime | None,
        expires_in: timedelta | None,
        is_broadcast: bool,
    ) -> ContentCheck:
        """What is wrong with a message as a bulk's content; `is_broadcast`: for a topic or condition."""
        return await cls._on_core(
            lambda core: core.content.check(
                params, expires_at=expires_at, expires_in=expires_in, is_broadcast=is_broadcast
            )
        )

    @staticmethod
    def address_problem(*, kind: BroadcastKind, address: object) -> str | None:
        """What is wrong with a topic's name, or with a condition; None where nothing is."""
        return address_problem(kind, address)

    @staticmethod
    def make_content(*, params: SendPushParams, broadcast: Broadcast | None, made_at: datetime) -> Content:
        """The content of rows that say this; `params` must have been found right."""
        return make_content(params, broadcast, made_at=made_at)

    @classmethod
    async def dry_run_async(
        cls, *, content: Content, expires_at: datetime | None, devices: Sequence[Device]
    ) -> DryRunResult:
        """Measure the message and have the provider check it for these devices, 500 at the most.

        A broadcast is checked for its own address. Nothing is delivered.
        """
        return await cls._on_core(lambda core: core.dry_run.run(content, devices, expires_at=expires_at))

    @staticmethod
    def rows_of(*, bulk_id: str, page: int, account_ids: Sequence[str]) -> PageRows:
        """The rows that a page of the bulk has for these accounts, whether they are written or not."""
        return page_rows(bulk_id, page, account_ids)

    @classmethod
    async def deliver_async(
        cls,
        *,
        rows: PageRows,
        expires_at: datetime | None,
        write_until: datetime,
        is_first_visit: bool,
        stop: SendingStop,
    ) -> BulkReport:
        """Have a row for each account, and make one round of attempts for those that are due.

        Many rows of one bulk wait while two other batches of it are under way in this process.

        From `write_until` on, by the database's clock, accounts without a row get none: retention may have
        taken it. `is_first_visit`: as a rule there are no rows yet. Once `stop` says so nothing more goes
        out. Repeated, it sends what is still open.
        """
        return await cls._on_core(
            lambda core: core.delivery.deliver(
                rows,
                expires_at=expires_at,
                write_until=write_until,
                is_first_visit=is_first_visit,
                stop=stop,
            )
        )

    @classmethod
    async def cancel_async(cls, *, rows: PageRows) -> None:
        """Take those of the rows that are pending out of delivery, and end those whose worker was lost."""
        await cls._on_core(lambda core: core.rows.cancel(rows))

    @classmethod
    async def tally_async(cls, *, rows: PageRows) -> PageOutcome:
        """What became of the page's accounts; those without a row are not counted."""
        return await cls._on_core(lambda core: core.rows.tally(rows))

    @classmethod
    async def accounts_of_page_async(cls, *, bulk_id: str, page: int) -> list[str]:
        """The accounts that a lost page had rows written for. It reads every row there is."""
        return await cls._on_core(lambda core: core.rows.accounts_of_page(bulk_id, page))

    @classmethod
    async def wait_open_async(cls, *, app_id: str, stopped: asyncio.Event) -> None:
        """Return once the app's provider takes bulk messages again, or `stopped` is set."""
        await cls._on_core(lambda core: core.delivery.wait_open(app_id, stopped))

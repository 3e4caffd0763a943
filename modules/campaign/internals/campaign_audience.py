"""Stores a campaign's audience as pages of account ids: a list while it is read, a search by keyset."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import aclosing
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from bson import ObjectId

from modules.account.account_service import AccountService
from modules.account.types import account_id_problems
from modules.application.daemon_executor import DaemonExecutor
from modules.application.errors import InvalidInputError
from modules.application.mongo_database import DatabaseClock
from modules.campaign.internals.store.campaign_model import AudienceKind, AudienceModel, CampaignModel
from modules.campaign.internals.store.campaign_page_repository import (
    CampaignPageRepository,
    Extent,
)
from modules.campaign.run_types import PAGE_ACCOUNTS
from modules.device_token.device_token_service import DeviceTokenService

# What one activity stores before it reports how far it has got.
PAGES_A_CALL = 50
# Callers' lists that are asked for a page at one moment; the others wait their turn, page by page.
MAX_LISTS_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadList:
    """A list that was read to its end: how much it holds, and the SHA-256 over its ids in order."""

    extent: Extent
    digest: str


class CampaignAudience:
    """Lives on one event loop. Methods raise UnavailableError when MongoDB does not answer."""

    def __init__(self, pages: CampaignPageRepository, clock: DatabaseClock) -> None:
        self._pages = pages
        self._clock = clock
        # Lists that are slow must not keep the loop's few threads from what sending needs. The threads end
        # with this object.
        self._readers = DaemonExecutor(MAX_LISTS_AT_ONCE, name="audience-reader")

    async def store_list(self, campaign_id: ObjectId, account_ids: Iterable[str]) -> ReadList:
        """Store the ids as pages of a campaign that is not recorded yet: `keep` them once it is.

        Raises InvalidInputError for an id that is none, and what the iterable raises; nothing is left then.
        """
        try:
            return await self._read(account_ids, campaign_id, await self._clock.now())
        except BaseException:
            await self._pages.delete(campaign_id)
            raise

    async def digest_of(self, account_ids: Iterable[str]) -> str:
        """Read the ids and store nothing; raises as `store_list`."""
        return (await self._read(account_ids, None, None)).digest

    async def _read(
        self, account_ids: Iterable[str], campaign_id: ObjectId | None, staged_at: datetime | None
    ) -> ReadList:
        extent, digest = Extent(), hashlib.sha256()
        async with aclosing(_list_pages(account_ids, self._readers)) as pages:
            async for page in pages:
                if campaign_id is not None:
                    await self._pages.insert(campaign_id, extent.pages, page, finished_at=staged_at)
                extent = extent.with_page(page)
                # No id has a line break in it: it would not be printable.
                digest.update("".join(f"{account_id}\n" for account_id in page).encode())
        return ReadList(extent=extent, digest=digest.hexdigest())

    async def collect(self, campaign: CampaignModel, *, first_page: int) -> tuple[Extent, bool]:
        """Store up to PAGES_A_CALL pages of a search from `first_page` on; says also if nobody is left.

        What another run has stored stays as it is: this one goes on behind it.
        """
        extent = await self._pages.extent(campaign.id)
        if extent.has_end or extent.pages >= first_page + PAGES_A_CALL:
            return extent, extent.has_end
        async with aclosing(_query_pages(campaign.audience, extent.last_account_id)) as pages:
            async for page in pages:
                if not await self._pages.insert(campaign.id, extent.pages, page):
                    break
                extent = extent.with_page(page)
                if extent.pages >= first_page + PAGES_A_CALL:
                    return extent, extent.has_end
            else:
                return extent, True
        return await self.collect(campaign, first_page=first_page)

    async def pages_of(self, campaign: CampaignModel) -> AsyncGenerator[list[str], None]:
        """The whole audience by pages: a list as it is stored, a search as it is now; none of a broadcast."""
        if campaign.audience.kind is AudienceKind.QUERY:
            async with aclosing(_query_pages(campaign.audience, None)) as pages:
                async for page in pages:
                    yield page
        elif campaign.audience.kind is AudienceKind.LIST:
            for number in range(campaign.pages or 0):
                yield (await self._pages.get(campaign.id, number)).account_ids


async def _list_pages(account_ids: Iterable[str], readers: Executor) -> AsyncGenerator[list[str], None]:
    # The caller's iterator may read a file or a database: it is never asked on the event loop.
    run_in, context = asyncio.get_running_loop().run_in_executor, copy_context()
    ids = await run_in(readers, partial(context.run, _in_order, account_ids))
    position = 0
    while page := await run_in(readers, partial(context.run, _next_page, ids, position)):
        yield page
        position += len(page)


def _in_order(account_ids: Iterable[Any]) -> Iterator[Any]:
    # A set's order differs from process to process; a repeated request has to be the same.
    return iter(sorted(account_ids, key=str) if isinstance(account_ids, set | frozenset) else account_ids)


def _next_page(account_ids: Iterator[Any], position: int) -> list[str]:
    page = list(islice(account_ids, PAGE_ACCOUNTS))
    problems = [
        problem
        for place, account_id in enumerate(page, position)
        for problem in account_id_problems(account_id, field=f"audience.account_ids[{place}]")
    ]
    if problems:
        raise InvalidInputError(problems)
    return page


async def _query_pages(query: AudienceModel, after_account_id: str | None) -> AsyncGenerator[list[str], None]:
    """Pages of PAGE_ACCOUNTS accounts, but for the last one; none where nobody matches."""
    held: list[str] = []
    async with aclosing(_matching(query, after_account_id)) as found:
        async for account_ids in found:
            held += account_ids
            while len(held) >= PAGE_ACCOUNTS:
                yield held[:PAGE_ACCOUNTS]
                held = held[PAGE_ACCOUNTS:]
    if held:
        yield held


async def _matching(query: AudienceModel, after_account_id: str | None) -> AsyncGenerator[list[str], None]:
    """Who matches, in ascending order, as many at a time as one question finds."""
    while True:
        account_ids = await DeviceTokenService.accounts_with_devices_async(
            platforms=tuple(query.platforms),
            app_id=query.app_id,
            last_seen_after=query.last_seen_after,
            last_seen_before=query.last_seen_before,
            after_account_id=after_account_id,
            limit=PAGE_ACCOUNTS,
        )
        if account_ids and (query.locales or query.tags):
            matching = await AccountService.matching_async(
                account_ids=account_ids, locales=query.locales, tags=query.tags
            )
            yield [account_id for account_id in account_ids if account_id in matching]
        else:
            yield account_ids
        if len(account_ids) < PAGE_ACCOUNTS:
            return
        after_account_id = account_ids[-1]

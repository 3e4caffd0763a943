"""Who: the accounts that notifications are for, with the locale and time zone they live in."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from modules.account.internals.account_directory import AccountDirectory, iana_time_zones
from modules.account.internals.store.account_repository import AccountRepository
from modules.account.types import DEFAULT_LOCALE, DEFAULT_TIME_ZONE, Account
from modules.application.event_loop_thread import EventLoopThread
from modules.application.mongo_database import MongoDatabase
from modules.application.service_facade import ServiceFacade, blocking


class AccountService(ServiceFacade[AccountDirectory]):
    """Records what the service has to know about an account.

    Accounts live elsewhere: devices, preferences and notifications are accepted for an id that has no
    account here; only `get_account` insists on one.
    """

    @classmethod
    async def start(cls, *, database: MongoDatabase, loop_thread: EventLoopThread) -> None:
        """Create the collection and bind the service to the loop; called by bootstrap, safe to repeat."""
        repository = AccountRepository(database.database)
        await loop_thread.call(repository.ensure)
        cls.bind(AccountDirectory(repository, await asyncio.to_thread(iana_time_zones)), loop_thread)

    @classmethod
    async def upsert_account_async(
        cls,
        *,
        account_id: str,
        locale: str = DEFAULT_LOCALE,
        time_zone: str = DEFAULT_TIME_ZONE,
        tags: Collection[str] = (),
    ) -> Account:
        """Create the account or replace all that is recorded of it; returns it as it is now stored.

        `tags`: at most 50 names, each 1 to 64 of a-z, 0-9, _ and -. Raises InvalidInputError with every
        failure at once.
        """
        return await cls._on_core(
            lambda core: core.upsert(account_id=account_id, locale=locale, time_zone=time_zone, tags=tags)
        )

    @classmethod
    async def get_account_async(cls, *, account_id: str) -> Account:
        """The account under this id; raises AccountNotFoundError or InvalidInputError."""
        return await cls._on_core(lambda core: core.get(account_id))

    @classmethod
    async def matching_async(
        cls, *, account_ids: Collection[str], locales: Collection[str] = (), tags: Collection[str] = ()
    ) -> set[str]:
        """Those of at most 1,000 accounts that have one of `locales` and one of `tags`, in one query.

        An empty criterion leaves nobody out. Accounts without a record have the default locale and no tag.
        """
        return await cls._on_core(
            lambda core: core.matching(account_ids=account_ids, locales=locales, tags=tags)
        )

    @classmethod
    async def locales_of_async(cls, *, account_ids: Collection[str]) -> dict[str, str]:
        """The locale of each of at most 1,000 accounts, in one query; the default without a record."""
        return await cls._on_core(lambda core: core.locales_of(account_ids))

    @classmethod
    async def erase_account_async(cls, *, account_id: str) -> int:
        """Remove the account's record; returns how many there were, 0 or 1. Safe to repeat."""
        return await cls._on_core(lambda core: core.erase(account_id))

    upsert_account = blocking(upsert_account_async)
    get_account = blocking(get_account_async)
    erase_account = blocking(erase_account_async)

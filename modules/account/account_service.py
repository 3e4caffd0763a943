"""Who: the accounts that notifications are for, with the locale and time zone they live in."""

from __future__ import annotations

import asyncio

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
        cls, *, account_id: str, locale: str = DEFAULT_LOCALE, time_zone: str = DEFAULT_TIME_ZONE
    ) -> Account:
        """Create the account or replace its locale and time zone; returns it as it is now stored.

        Raises InvalidInputError with every failure at once.
        """
        return await cls._on_core(
            lambda core: core.upsert(account_id=account_id, locale=locale, time_zone=time_zone)
        )

    @classmethod
    async def get_account_async(cls, *, account_id: str) -> Account:
        """The account under this id; raises AccountNotFoundError or InvalidInputError."""
        return await cls._on_core(lambda core: core.get(account_id))

    upsert_account = blocking(upsert_account_async)
    get_account = blocking(get_account_async)

"""Knows the accounts; the logic behind AccountService."""

from __future__ import annotations

import functools
import zoneinfo
from collections.abc import Collection

from modules.account.errors import AccountNotFoundError
from modules.account.internals.account_params import (
    check_account,
    check_account_id,
    check_account_ids,
    check_matching,
)
from modules.account.internals.store.account_repository import AccountRepository
from modules.account.types import DEFAULT_LOCALE, Account


@functools.cache
def iana_time_zones() -> frozenset[str]:
    """The names of the host's time zone database; reads several hundred files the first time."""
    # "localtime" is the host's own setting; the zoneinfo folder of Debian lists it beside the IANA names.
    return frozenset(zoneinfo.available_timezones() - {"localtime"})


class AccountDirectory:
    """Records and finds accounts."""

    def __init__(self, repository: AccountRepository, time_zones: frozenset[str]) -> None:
        self._repository = repository
        self._time_zones = time_zones

    async def upsert(self, *, account_id: str, locale: str, time_zone: str, tags: Collection[str]) -> Account:
        check_account(
            account_id=account_id,
            locale=locale,
            time_zone=time_zone,
            tags=tags,
            time_zones=self._time_zones,
        )
        return await self._repository.upsert(
            account_id=account_id, locale=locale, time_zone=time_zone, tags=sorted(set(tags))
        )

    async def get(self, account_id: str) -> Account:
        check_account_id(account_id)
        account = await self._repository.find(account_id)
        if account is None:
            raise AccountNotFoundError
        return account

    async def erase(self, account_id: str) -> int:
        check_account_id(account_id)
        return await self._repository.erase(account_id)

    async def matching(
        self, *, account_ids: Collection[str], locales: Collection[str], tags: Collection[str]
    ) -> set[str]:
        check_matching(account_ids=account_ids, locales=locales, tags=tags)
        if tags or (locales and DEFAULT_LOCALE not in locales):
            return await self._repository.matching(account_ids, locales=locales, tags=tags)
        if not locales:
            return set(account_ids)
        # Accounts without a record live in the default locale: it is the others that can be found.
        return set(account_ids) - await self._repository.outside(account_ids, locales=locales)

    async def locales_of(self, account_ids: Collection[str]) -> dict[str, str]:
        check_account_ids(account_ids)
        return dict.fromkeys(account_ids, DEFAULT_LOCALE) | await self._repository.locales_of(account_ids)

"""Knows the accounts; the logic behind AccountService."""

from __future__ import annotations

import functools
import zoneinfo

from modules.account.errors import AccountNotFoundError
from modules.account.internals.account_params import check_account, check_account_id
from modules.account.internals.store.account_repository import AccountRepository
from modules.account.types import Account


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

    async def upsert(self, *, account_id: str, locale: str, time_zone: str) -> Account:
        check_account(account_id=account_id, locale=locale, time_zone=time_zone, time_zones=self._time_zones)
        return await self._repository.upsert(account_id=account_id, locale=locale, time_zone=time_zone)

    async def get(self, account_id: str) -> Account:
        check_account_id(account_id)
        account = await self._repository.find(account_id)
        if account is None:
            raise AccountNotFoundError
        return account

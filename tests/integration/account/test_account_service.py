"""Accounts on a real MongoDB."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from modules.account.account_service import AccountService
from modules.account.errors import AccountNotFoundError
from modules.account.types import Account
from modules.application.errors import InvalidInputError

Accounts = type[AccountService]


def test_an_account_is_found_as_it_was_recorded(accounts: Accounts) -> None:
    recorded = accounts.upsert_account(account_id="acc-1", locale="pt-BR", time_zone="America/Sao_Paulo")
    assert recorded == accounts.get_account(account_id="acc-1")
    assert (recorded.id, recorded.locale, recorded.time_zone) == ("acc-1", "pt-BR", "America/Sao_Paulo")
    assert recorded.created_at == recorded.updated_at
    assert recorded.created_at.tzinfo is not None


def test_recording_again_replaces_what_was_said_and_keeps_the_birth(accounts: Accounts) -> None:
    first = accounts.upsert_account(account_id="acc-1", locale="pt-BR", time_zone="Europe/Paris")
    second = accounts.upsert_account(account_id="acc-1")
    assert (second.locale, second.time_zone) == ("en", "UTC")
    assert second.created_at == first.created_at
    assert second.updated_at >= first.updated_at


def test_an_unknown_account_is_an_error(accounts: Accounts) -> None:
    with pytest.raises(AccountNotFoundError) as missing:
        accounts.get_account(account_id="nobody")
    assert "nobody" not in str(missing.value)


def test_nothing_is_written_when_something_is_wrong(accounts: Accounts) -> None:
    with pytest.raises(InvalidInputError):
        accounts.upsert_account(account_id="acc-1", time_zone="Mars/Olympus")
    with pytest.raises(AccountNotFoundError):
        accounts.get_account(account_id="acc-1")


@pytest.mark.parametrize("account_id", ["$locale", "$$NOW", "a.b", "{}", "José"])
def test_an_id_is_only_a_text(accounts: Accounts, account_id: str) -> None:
    assert accounts.upsert_account(account_id=account_id).id == account_id
    assert accounts.get_account(account_id=account_id).id == account_id


async def test_parallel_first_recordings_make_one_account(accounts: Accounts) -> None:
    async def record(number: int) -> Account:
        return await accounts.upsert_account_async(account_id=f"acc-{number % 4}")

    recorded = await asyncio.gather(*(record(number) for number in range(80)))
    births = {(account.id, account.created_at) for account in recorded}
    assert len(births) == 4


def test_times_are_the_databases(accounts: Accounts) -> None:
    real = datetime.now(UTC)
    with time_machine.travel(real + timedelta(days=1), tick=True):
        account = accounts.upsert_account(account_id="acc-1")
    assert abs(account.created_at - real) < timedelta(minutes=1)


def test_tags_are_kept_in_order_and_each_once(accounts: Accounts) -> None:
    account = accounts.upsert_account(account_id="acc-1", tags=["gold", "beta", "gold"])
    assert account.tags == ("beta", "gold")
    assert accounts.get_account(account_id="acc-1") == account
    assert accounts.upsert_account(account_id="acc-1").tags == ()


def test_an_account_of_before_there_were_tags_has_none(
    accounts: Accounts, mongodb_uri: str, database_name: str
) -> None:
    now = datetime.now(UTC)
    with MongoClient[dict[str, object]](mongodb_uri) as client:
        old = {"_id": "acc-1", "locale": "de", "time_zone": "UTC", "created_at": now, "updated_at": now}
        client[database_name]["accounts"].insert_one(old)
    assert accounts.get_account(account_id="acc-1").tags == ()
    assert accounts.upsert_account(account_id="acc-1", tags=["beta"]).tags == ("beta",)


@pytest.fixture
async def crowd(accounts: Accounts) -> list[str]:
    """Three recorded accounts and one that is not."""
    await accounts.upsert_account_async(account_id="ana", locale="pt-BR", tags=["beta"])
    await accounts.upsert_account_async(account_id="bob", tags=["gold", "beta"])
    await accounts.upsert_account_async(account_id="carl", locale="de")
    return ["ana", "bob", "carl", "dora"]


@pytest.mark.parametrize(
    ("locales", "tags", "found"),
    [
        ((), (), {"ana", "bob", "carl", "dora"}),
        (("en",), (), {"bob", "dora"}),
        (("de", "pt-BR"), (), {"ana", "carl"}),
        (("en", "de"), (), {"bob", "carl", "dora"}),
        ((), ("beta",), {"ana", "bob"}),
        ((), ("gold", "none"), {"bob"}),
        (("en", "de"), ("beta",), {"bob"}),
        (("fr",), (), set()),
    ],
)
async def test_accounts_match_by_locale_and_tag_and_unrecorded_ones_by_the_default_locale(
    accounts: Accounts, crowd: list[str], locales: tuple[str, ...], tags: tuple[str, ...], found: set[str]
) -> None:
    assert await accounts.matching_async(account_ids=crowd, locales=locales, tags=tags) == found
    assert await accounts.matching_async(account_ids=[], locales=locales, tags=tags) == set()


async def test_every_account_has_a_locale(accounts: Accounts, crowd: list[str]) -> None:
    locales = await accounts.locales_of_async(account_ids=crowd)
    assert locales == {"ana": "pt-BR", "bob": "en", "carl": "de", "dora": "en"}


def test_the_database_refuses_other_shapes(accounts: Accounts, mongodb_uri: str, database_name: str) -> None:
    with MongoClient[dict[str, object]](mongodb_uri) as client:
        collection = client[database_name]["accounts"]
        with pytest.raises(OperationFailure, match="validation"):
            collection.insert_one({"_id": "acc-1", "locale": "en"})
        accounts.upsert_account(account_id="acc-1")
        for tags in (["a", "a"], [7], "a", [f"t{number}" for number in range(51)]):
            with pytest.raises(OperationFailure, match="validation"):
                collection.update_one({"_id": "acc-1"}, {"$set": {"tags": tags}})

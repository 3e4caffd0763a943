"""What holds of stored accounts over any database: how they are read, matched and erased."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from modules.account.internals.store.account_model import AccountModel
from modules.account.internals.store.account_repository import AccountRepository
from modules.account.types import Account
from modules.application.errors import UnreadableRecordError
from modules.application.repository import Document
from tests.support.store_contracts.databases import RECENTLY, Database, Prepare, put, put_unchecked

CROWD = ("ana", "bob", "carl")


def make_document(account_id: str, **over: Any) -> Document:
    fields = {
        "locale": "en",
        "time_zone": "UTC",
        "created_at": RECENTLY - timedelta(days=1),
        "updated_at": RECENTLY,
        **over,
    }
    return AccountModel(_id=account_id, **fields).model_dump(by_alias=True)


class AccountStoreContract:
    @pytest.fixture
    async def accounts(self, database: Database, prepare: Prepare) -> AccountRepository:
        accounts = AccountRepository(database)
        await prepare(accounts)
        return accounts

    @pytest.fixture
    async def crowd(self, database: Database, accounts: AccountRepository) -> tuple[str, ...]:
        """Three recorded accounts and one that is not."""
        await put(
            database,
            accounts,
            make_document("ana", locale="pt-BR", tags=("beta",)),
            make_document("bob", tags=("beta", "gold")),
            make_document("carl", locale="de"),
        )
        return (*CROWD, "dora")

    async def test_an_account_is_found_as_it_is_stored(
        self, database: Database, accounts: AccountRepository
    ) -> None:
        document = make_document("ana", locale="pt-BR", time_zone="America/Sao_Paulo", tags=("beta", "gold"))
        await put(database, accounts, document, make_document("bob"))
        assert await accounts.find("ana") == Account(
            id="ana",
            locale="pt-BR",
            time_zone="America/Sao_Paulo",
            tags=("beta", "gold"),
            created_at=RECENTLY - timedelta(days=1),
            updated_at=RECENTLY,
        )

    async def test_nobody_is_found_who_is_not_stored(self, accounts: AccountRepository) -> None:
        assert await accounts.find("ana") is None

    async def test_an_account_of_before_there_were_tags_has_none(
        self, database: Database, accounts: AccountRepository
    ) -> None:
        document = make_document("ana")
        del document["tags"]
        await put(database, accounts, document)
        found = await accounts.find("ana")
        assert found is not None
        assert found.tags == ()

    async def test_what_cannot_be_read_is_an_error(
        self, database: Database, accounts: AccountRepository
    ) -> None:
        document = make_document("ana")
        del document["time_zone"]
        await put_unchecked(database, accounts, document)
        with pytest.raises(UnreadableRecordError) as refused:
            await accounts.find("ana")
        assert refused.value.fields == ("time_zone",)

    @pytest.mark.parametrize(
        ("locales", "tags", "found"),
        [
            ((), (), {"ana", "bob", "carl"}),
            (("en",), (), {"bob"}),
            (("de", "pt-BR"), (), {"ana", "carl"}),
            ((), ("beta",), {"ana", "bob"}),
            ((), ("gold", "none"), {"bob"}),
            (("en", "de"), ("beta",), {"bob"}),
            (("fr",), (), set()),
        ],
    )
    async def test_accounts_match_by_locale_and_by_tag(
        self,
        accounts: AccountRepository,
        crowd: tuple[str, ...],
        locales: tuple[str, ...],
        tags: tuple[str, ...],
        found: set[str],
    ) -> None:
        assert await accounts.matching(crowd, locales=locales, tags=tags) == found
        assert await accounts.matching(["ana"], locales=locales, tags=tags) == found & {"ana"}
        assert await accounts.matching([], locales=locales, tags=tags) == set()

    async def test_outside_are_the_recorded_accounts_of_other_locales(
        self, accounts: AccountRepository, crowd: tuple[str, ...]
    ) -> None:
        assert await accounts.outside(crowd, locales=["en", "de"]) == {"ana"}
        assert await accounts.outside(["bob", "carl", "dora"], locales=["en"]) == {"carl"}
        assert await accounts.outside(crowd, locales=[]) == set(CROWD)

    async def test_recorded_accounts_have_their_locales(
        self, accounts: AccountRepository, crowd: tuple[str, ...]
    ) -> None:
        assert await accounts.locales_of(crowd) == {"ana": "pt-BR", "bob": "en", "carl": "de"}
        assert await accounts.locales_of(["carl", "dora"]) == {"carl": "de"}

    async def test_one_account_is_erased_and_no_other(
        self, accounts: AccountRepository, crowd: tuple[str, ...]
    ) -> None:
        assert [await accounts.erase("bob") for _ in range(2)] == [1, 0]
        assert set(await accounts.locales_of(crowd)) == {"ana", "carl"}

"""What holds of stored preferences over any database: how they are read and erased."""

from __future__ import annotations

from typing import Any

import pytest

from modules.application.errors import UnreadableRecordError
from modules.application.repository import Document
from modules.preference.internals.store.preference_model import PreferenceModel
from modules.preference.internals.store.preference_repository import PreferenceRepository
from modules.preference.types import Preferences
from tests.support.store_contracts.databases import RECENTLY, Database, Prepare, put, put_unchecked


def make_document(account_id: str, **over: Any) -> Document:
    fields = {"default_allowed": None, "categories": {}, "updated_at": RECENTLY, **over}
    return PreferenceModel(_id=account_id, **fields).model_dump(by_alias=True)


class PreferenceStoreContract:
    @pytest.fixture
    async def preferences(self, database: Database, prepare: Prepare) -> PreferenceRepository:
        preferences = PreferenceRepository(database)
        await prepare(preferences)
        return preferences

    async def test_preferences_are_found_as_they_are_stored(
        self, database: Database, preferences: PreferenceRepository
    ) -> None:
        said = {"marketing": False, "security": True}
        await put(database, preferences, make_document("ana", default_allowed=False, categories=said))
        assert await preferences.find(["ana"]) == {
            "ana": Preferences(account_id="ana", default_allowed=False, categories=said, updated_at=RECENTLY)
        }

    async def test_those_who_are_asked_for_are_found_and_who_said_nothing_is_left_out(
        self, database: Database, preferences: PreferenceRepository
    ) -> None:
        await put(database, preferences, *map(make_document, ("ana", "bob", "carl")))
        assert set(await preferences.find(["carl", "ana", "dora"])) == {"ana", "carl"}
        assert await preferences.find([]) == {}

    async def test_what_cannot_be_read_is_an_error(
        self, database: Database, preferences: PreferenceRepository
    ) -> None:
        await put_unchecked(database, preferences, {**make_document("ana"), "quiet_hours": "a secret"})
        with pytest.raises(UnreadableRecordError) as refused:
            await preferences.find(["ana"])
        assert refused.value.fields == ("quiet_hours",)

    async def test_one_accounts_are_erased_and_no_others(
        self, database: Database, preferences: PreferenceRepository
    ) -> None:
        await put(database, preferences, make_document("ana"), make_document("bob"))
        assert [await preferences.erase("ana") for _ in range(2)] == [1, 0]
        assert set(await preferences.find(["ana", "bob"])) == {"bob"}

"""Preferences on a real MongoDB."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from modules.preference.errors import TooManyCategoriesError
from modules.preference.preference_service import PreferenceService
from modules.preference.types import MAX_CATEGORIES, Decision

PreferencesOf = type[PreferenceService]


def test_an_account_that_never_said_anything_is_told(preferences: PreferencesOf) -> None:
    said = preferences.get_preferences(account_id="acc-1")
    assert (said.default_allowed, dict(said.categories), said.updated_at) == (None, {}, None)
    decision = preferences.is_push_allowed(account_id="acc-1", category="news")
    assert decision == Decision(allowed=True, reason="system default: allowed")


def test_opting_out_of_one_category_leaves_the_others(preferences: PreferencesOf) -> None:
    said = preferences.set_preference(account_id="acc-1", category="marketing", allowed=False)
    assert said == preferences.get_preferences(account_id="acc-1")
    refused = preferences.is_push_allowed(account_id="acc-1", category="marketing")
    assert refused == Decision(allowed=False, reason="category:marketing opted out")
    assert preferences.is_push_allowed(account_id="acc-1", category="news").allowed
    assert preferences.is_push_allowed(account_id="acc-2", category="marketing").allowed


def test_the_account_default_and_a_category_are_kept_apart(preferences: PreferencesOf) -> None:
    preferences.set_preference(account_id="acc-1", category="security", allowed=True)
    preferences.set_preference(account_id="acc-1", category=None, allowed=False)
    said = preferences.set_preference(account_id="acc-1", category="news", allowed=True)
    assert said.default_allowed is False
    assert said.categories == {"security": True, "news": True}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from([None, "a", "b", "0", "default_allowed"]), st.booleans()), max_size=8)
)
def test_the_last_word_about_each_category_counts(
    preferences: PreferencesOf, words: list[tuple[str | None, bool]]
) -> None:
    account_id = uuid.uuid4().hex
    for category, allowed in words:
        preferences.set_preference(account_id=account_id, category=category, allowed=allowed)
    last = dict(words)
    said = preferences.get_preferences(account_id=account_id)
    assert said.default_allowed == last.pop(None, None)
    assert said.categories == last


async def test_parallel_words_are_all_kept(preferences: PreferencesOf) -> None:
    await asyncio.gather(
        *(
            preferences.set_preference_async(account_id="acc-1", category=f"c{number}", allowed=False)
            for number in range(50)
        )
    )
    said = await preferences.get_preferences_async(account_id="acc-1")
    assert said.categories == {f"c{number}": False for number in range(50)}


def test_many_questions_are_answered_as_one_by_one_with_one_read(
    preferences: PreferencesOf, mongodb_uri: str, database_name: str
) -> None:
    for number in range(50):
        preferences.set_preference(account_id=f"acc-{number}", category="news", allowed=False)
    preferences.set_preference(account_id="acc-1", category=None, allowed=False)
    questions = [
        (f"acc-{number}", name) for number in (1, 2, 2, 99) for name in ("news", "Odd.Name", "other")
    ]
    with MongoClient[dict[str, object]](mongodb_uri, tz_aware=True) as client:
        database = client[database_name]
        database.command("profile", 2)
        answers = preferences.decisions_for(questions=questions)
        database.command("profile", 0)
        reads = list(database["system.profile"].find({"ns": f"{database_name}.preferences"}))
    assert answers == {
        (account_id, category): preferences.is_push_allowed(account_id=account_id, category=category)
        for account_id, category in questions
    }
    assert [read["docsExamined"] for read in reads] == [2]
    assert str(reads[0]["planSummary"]).startswith("IXSCAN")


def test_no_questions_no_answers(preferences: PreferencesOf) -> None:
    assert preferences.decisions_for(questions=[]) == {}


def test_an_account_has_so_many_categories_and_no_more(preferences: PreferencesOf) -> None:
    for number in range(MAX_CATEGORIES):
        preferences.set_preference(account_id="acc-1", category=f"c{number}", allowed=True)
    with pytest.raises(TooManyCategoriesError):
        preferences.set_preference(account_id="acc-1", category="one-more", allowed=True)
    said = preferences.set_preference(account_id="acc-1", category="c0", allowed=False)
    assert (len(said.categories), said.categories["c0"]) == (MAX_CATEGORIES, False)


def test_the_database_refuses_other_shapes(
    preferences: PreferencesOf, mongodb_uri: str, database_name: str
) -> None:
    with MongoClient[dict[str, object]](mongodb_uri) as client:
        collection = client[database_name]["preferences"]
        with pytest.raises(OperationFailure, match="validation"):
            collection.insert_one({"_id": "acc-1", "categories": {"news": "no"}})

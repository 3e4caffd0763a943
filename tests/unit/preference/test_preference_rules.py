"""The order of the words that decide: category, then account, then system."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.preference.internals.preference_rules import decide
from modules.preference.types import Decision, Preferences


def make_preferences(**over: Any) -> Preferences:
    fields: dict[str, Any] = {"default_allowed": None, "categories": {}, "updated_at": None}
    return Preferences(account_id="acc-1", **{**fields, **over})


@pytest.mark.parametrize(
    ("preferences", "allowed", "reason"),
    [
        (None, True, "system default: allowed"),
        (make_preferences(), True, "system default: allowed"),
        (make_preferences(default_allowed=False), False, "account default: opted out"),
        (make_preferences(default_allowed=True), True, "account default: opted in"),
        (make_preferences(categories={"other": False}), True, "system default: allowed"),
        (make_preferences(categories={"news": False}), False, "category:news opted out"),
        (make_preferences(categories={"news": True}), True, "category:news opted in"),
        (
            make_preferences(default_allowed=False, categories={"news": True}),
            True,
            "category:news opted in",
        ),
        (
            make_preferences(default_allowed=True, categories={"news": False}),
            False,
            "category:news opted out",
        ),
    ],
)
def test_the_most_specific_word_decides(preferences: Preferences | None, allowed: bool, reason: str) -> None:
    assert decide(preferences, "news") == Decision(allowed=allowed, reason=reason)


@given(
    default=st.none() | st.booleans(),
    categories=st.dictionaries(st.sampled_from(["a", "b", "c"]), st.booleans()),
    asked=st.sampled_from(["a", "b", "c"]),
)
def test_what_others_are_told_does_not_matter(
    default: bool | None, categories: dict[str, bool], asked: str
) -> None:
    whole = decide(make_preferences(default_allowed=default, categories=categories), asked)
    own = {name: allowed for name, allowed in categories.items() if name == asked}
    assert whole == decide(make_preferences(default_allowed=default, categories=own), asked)

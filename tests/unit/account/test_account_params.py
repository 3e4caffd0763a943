"""What may be said about an account."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.account.internals.account_directory import iana_time_zones
from modules.account.internals.account_params import check_account, check_account_ids, check_matching
from modules.account.types import account_id_problems
from modules.application.errors import InvalidInputError

ZONES = frozenset({"UTC", "Europe/Paris"})


def make_account(**over: Any) -> dict[str, Any]:
    return {
        "account_id": "acc-1",
        "locale": "en",
        "time_zone": "UTC",
        "tags": (),
        "time_zones": ZONES,
        **over,
    }


@pytest.mark.parametrize("locale", ["en", "pt-BR", "zh-Hant", "zh-Hant-TW", "es-419", "fil"])
def test_language_tags_are_accepted(locale: str) -> None:
    check_account(**make_account(locale=locale))


@pytest.mark.parametrize("locale", ["", "e", "en_US", "en-us", "EN", "en-US\n", "english", None, 7])
def test_other_locales_are_refused(locale: object) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_account(**make_account(locale=locale))
    assert [problem.field for problem in refused.value.problems] == ["locale"]


@pytest.mark.parametrize("time_zone", ["", "Europe", "europe/paris", "../UTC", "localtime", None, 7, ["UTC"]])
def test_only_known_time_zones_are_accepted(time_zone: object) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_account(**make_account(time_zone=time_zone, time_zones=iana_time_zones()))
    assert [problem.code for problem in refused.value.problems] == ["unknown_time_zone"]


def test_every_failure_is_reported_at_once() -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_account(**make_account(account_id=None, locale=1, time_zone=object(), tags=["", "b", 7]))
    assert [problem.field for problem in refused.value.problems] == [
        "account_id",
        "locale",
        "time_zone",
        "tags[0]",
        "tags[2]",
    ]


def test_tags_are_names_and_not_too_many() -> None:
    check_account(**make_account(tags=[f"tag-{number}" for number in range(50)]))
    check_account(**make_account(tags=("beta", "gold_members", "2026", "t" * 64)))
    for tags in ("beta", None, ["Beta"], ["-x"], ["a.b"], ["t" * 65], [f"t{number}" for number in range(51)]):
        with pytest.raises(InvalidInputError):
            check_account(**make_account(tags=tags))


def test_a_question_is_about_at_most_a_thousand_accounts() -> None:
    check_account_ids([f"a{number}" for number in range(1_000)])
    with pytest.raises(InvalidInputError, match="too_many_accounts"):
        check_account_ids([f"a{number}" for number in range(1_001)])


def test_a_question_with_bad_criteria_says_all_that_is_wrong() -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_matching(account_ids=["a", ""], locales=["english"], tags="beta")
    assert [problem.field for problem in refused.value.problems] == ["account_ids[1]", "locales[0]", "tags"]


@pytest.mark.parametrize("account_id", ["a", "x" * 128, "José 7", "$account", "a:b/c"])
def test_account_ids_that_are_good(account_id: str) -> None:
    assert account_id_problems(account_id) == []


@pytest.mark.parametrize("account_id", ["", "x" * 129, " a", "a\n", "a\x00b", "\ud800", b"a", None, 1])
def test_account_ids_that_are_not(account_id: object) -> None:
    assert [problem.field for problem in account_id_problems(account_id, field="ids[0]")] == ["ids[0]"]


@given(st.text(max_size=140))
def test_an_accepted_account_id_can_be_stored(account_id: str) -> None:
    if not account_id_problems(account_id):
        assert 1 <= len(account_id) <= 128
        account_id.encode("utf-8")

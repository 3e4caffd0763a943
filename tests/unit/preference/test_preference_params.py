"""What may be said about preferences."""

from __future__ import annotations

import pytest

from modules.application.errors import InvalidInputError
from modules.preference.internals.preference_params import check_preference, check_question, check_questions
from modules.preference.types import category_problems


@pytest.mark.parametrize("category", ["a", "general", "order-updates", "x" * 64, "2fa", "a_b"])
def test_categories_that_are_good(category: str) -> None:
    assert category_problems(category) == []


@pytest.mark.parametrize("category", ["", "x" * 65, "News", "a.b", "$a", "-a", "a\n", "é", None, 3])
def test_categories_that_are_not(category: object) -> None:
    assert [problem.code for problem in category_problems(category)] == ["invalid_category"]


def test_every_failure_is_reported_at_once() -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_preference(account_id="", category="a.b", allowed=1)
    assert [problem.field for problem in refused.value.problems] == ["account_id", "category", "allowed"]


def test_no_category_is_the_account_default() -> None:
    check_preference(account_id="acc-1", category=None, allowed=False)


def test_a_question_about_a_name_nobody_can_store_is_answered() -> None:
    check_question(account_id="acc-1", category="Not.A.Name")


@pytest.mark.parametrize("questions", ["acc-1", None, 5])
def test_questions_are_a_list(questions: object) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_questions(questions)
    assert refused.value.field == "questions"


def test_each_wrong_question_is_named_by_its_position() -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_questions([("a", "news"), ("", 5), "ab", ("a",), ["a", "b"]])
    fields = [problem.field for problem in refused.value.problems]
    assert fields == [
        "questions[1].account_id",
        "questions[1].category",
        "questions[2]",
        "questions[3]",
        "questions[4]",
    ]

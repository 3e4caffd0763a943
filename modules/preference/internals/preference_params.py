"""Checks what callers say about preferences, and reports every failure at once."""

from __future__ import annotations

from collections.abc import Collection

from modules.account.types import account_id_problems
from modules.application.errors import InvalidInputError, Problem
from modules.preference.types import category_problems


def check_preference(*, account_id: object, category: object, allowed: object) -> None:
    problems = account_id_problems(account_id)
    if category is not None:
        problems += category_problems(category)
    if not isinstance(allowed, bool):
        problems.append(Problem("invalid_allowed", "allowed", "must be true or false"))
    _refuse(problems)


def check_account_id(account_id: object) -> None:
    _refuse(account_id_problems(account_id))


def check_question(*, account_id: object, category: object) -> None:
    _refuse(account_id_problems(account_id) + _asked_category_problems(category, "category"))


def check_questions(questions: object) -> None:
    if isinstance(questions, str) or not isinstance(questions, Collection):
        _refuse([Problem("invalid_questions", "questions", "must be a list of (account id, category)")])
        return
    problems: list[Problem] = []
    for position, question in enumerate(questions):
        field = f"questions[{position}]"
        if not isinstance(question, tuple) or len(question) != 2:
            problems.append(Problem("invalid_question", field, "must be (account id, category)"))
            continue
        problems += account_id_problems(question[0], field=f"{field}.account_id")
        problems += _asked_category_problems(question[1], f"{field}.category")
    _refuse(problems)


def _asked_category_problems(category: object, field: str) -> list[Problem]:
    # A name that nobody can have a preference for is answered by the defaults: delivery must not stall on it.
    return [] if isinstance(category, str) else [Problem("invalid_category", field, "must be a string")]


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise InvalidInputError(problems)

"""Checks what callers say about an account, and reports every failure at once."""

from __future__ import annotations

from collections.abc import Callable, Collection

from modules.account.types import (
    MAX_ACCOUNTS,
    MAX_TAGS,
    account_id_problems,
    locale_problems,
    tag_problems,
)
from modules.application.errors import InvalidInputError, Problem


def check_account(
    *, account_id: object, locale: object, time_zone: object, tags: object, time_zones: Collection[str]
) -> None:
    """Raise InvalidInputError with all problems; `time_zones` are the names this host's database knows."""
    problems = account_id_problems(account_id) + locale_problems(locale)
    if not isinstance(time_zone, str) or time_zone not in time_zones:
        problems.append(
            Problem("unknown_time_zone", "time_zone", "must be an IANA time zone like Europe/Paris")
        )
    problems += _names_problems(tags, "tags", tag_problems)
    if isinstance(tags, Collection) and len(tags) > MAX_TAGS:
        problems.append(Problem("too_many_tags", "tags", f"an account has at most {MAX_TAGS} tags"))
    _refuse(problems)


def check_account_id(account_id: object) -> None:
    _refuse(account_id_problems(account_id))


def check_account_ids(account_ids: object) -> None:
    _refuse(_account_ids_problems(account_ids))


def check_matching(*, account_ids: object, locales: object, tags: object) -> None:
    _refuse(
        _account_ids_problems(account_ids)
        + _names_problems(locales, "locales", locale_problems)
        + _names_problems(tags, "tags", tag_problems)
    )


def _account_ids_problems(account_ids: object) -> list[Problem]:
    problems = _names_problems(account_ids, "account_ids", account_id_problems)
    if isinstance(account_ids, Collection) and len(account_ids) > MAX_ACCOUNTS:
        reason = f"one question takes at most {MAX_ACCOUNTS} accounts"
        problems.append(Problem("too_many_accounts", "account_ids", reason))
    return problems


def _names_problems(names: object, field: str, problems_of: Callable[..., list[Problem]]) -> list[Problem]:
    if isinstance(names, str) or not isinstance(names, Collection):
        return [Problem(f"invalid_{field}", field, "must be a list of strings")]
    return [
        problem
        for position, name in enumerate(names)
        for problem in problems_of(name, field=f"{field}[{position}]")
    ]


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise InvalidInputError(problems)

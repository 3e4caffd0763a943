"""Checks what callers say about an account, and reports every failure at once."""

from __future__ import annotations

import re
from collections.abc import Collection

from modules.account.types import account_id_problems
from modules.application.errors import InvalidInputError, Problem

# Language, script and region of BCP 47, in the recommended case (RFC 5646, 2.1.1).
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")


def check_account(
    *, account_id: object, locale: object, time_zone: object, time_zones: Collection[str]
) -> None:
    """Raise InvalidInputError with all problems; `time_zones` are the names this host's database knows."""
    problems = account_id_problems(account_id)
    if not isinstance(locale, str) or not _LOCALE.fullmatch(locale):
        problems.append(Problem("invalid_locale", "locale", "must be a language tag like en, pt-BR, zh-Hant"))
    if not isinstance(time_zone, str) or time_zone not in time_zones:
        problems.append(
            Problem("unknown_time_zone", "time_zone", "must be an IANA time zone like Europe/Paris")
        )
    if problems:
        raise InvalidInputError(problems)


def check_account_id(account_id: object) -> None:
    problems = account_id_problems(account_id)
    if problems:
        raise InvalidInputError(problems)

"""Checks what callers say about one-time passwords; reasons never repeat a code."""

from __future__ import annotations

import re

from modules.account.types import account_id_problems
from modules.application.errors import InvalidInputError, Problem

_PURPOSE = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_CODE = re.compile(r"[0-9]{1,10}")


def check_request(*, account_id: object, purpose: object) -> None:
    _refuse(account_id_problems(account_id) + _purpose_problems(purpose))


def check_answer(*, account_id: object, purpose: object, code: object) -> None:
    problems = account_id_problems(account_id) + _purpose_problems(purpose)
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        problems.append(Problem("malformed_code", "code", "must be a string of digits"))
    _refuse(problems)


def _purpose_problems(purpose: object) -> list[Problem]:
    if isinstance(purpose, str) and _PURPOSE.fullmatch(purpose):
        return []
    reason = "must be 1 to 32 of a-z, 0-9, _ and -, starting with a letter or digit"
    return [Problem("invalid_purpose", "purpose", reason)]


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise InvalidInputError(problems)

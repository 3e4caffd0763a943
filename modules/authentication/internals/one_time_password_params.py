"""Checks what callers say about one-time passwords; reasons never repeat a code."""

from __future__ import annotations

import re
import unicodedata

from modules.account.types import account_id_problems
from modules.application.errors import InvalidInputError, Problem
from modules.authentication.types import CODE_PLACE, OneTimePasswordText

# With the longest characters of UTF-8 this leaves room for the rest of FCM's 4,096 bytes.
MAX_TITLE_LENGTH = 100
MAX_BODY_LENGTH = 500

# Control characters, and halves of surrogate pairs.
_UNSENDABLE = ("Cc", "Cs")
_PURPOSE = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_CODE = re.compile(r"[0-9]{1,10}")
_TICKET_ID = re.compile(r"[0-9a-f]{32}")


def check_account(account_id: object) -> None:
    _refuse(account_id_problems(account_id))


def check_request(*, account_id: object, purpose: object, text: object) -> None:
    problems = account_id_problems(account_id) + _purpose_problems(purpose)
    if text is not None:
        problems += _text_problems(text)
    _refuse(problems)


def check_answer(*, account_id: object, purpose: object, ticket_id: object, code: object) -> None:
    problems = account_id_problems(account_id) + _purpose_problems(purpose)
    if not isinstance(ticket_id, str) or not _TICKET_ID.fullmatch(ticket_id):
        problems.append(Problem("malformed_ticket", "ticket_id", "must be the id of a ticket"))
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        problems.append(Problem("malformed_code", "code", "must be a string of digits"))
    _refuse(problems)


def _purpose_problems(purpose: object) -> list[Problem]:
    if isinstance(purpose, str) and _PURPOSE.fullmatch(purpose):
        return []
    reason = "must be 1 to 32 of a-z, 0-9, _ and -, starting with a letter or digit"
    return [Problem("invalid_purpose", "purpose", reason)]


def _text_problems(text: object) -> list[Problem]:
    if not isinstance(text, OneTimePasswordText):
        return [Problem("invalid_type", "text", "must be OneTimePasswordText")]
    problems = []
    if not _is_text(text.title, MAX_TITLE_LENGTH):
        reason = f"must have 1 to {MAX_TITLE_LENGTH} characters, no control characters"
        problems.append(Problem("invalid_value", "text.title", reason))
    if not _is_text(text.body, MAX_BODY_LENGTH, allowed="\n"):
        reason = f"must have 1 to {MAX_BODY_LENGTH} characters, of control characters line breaks alone"
        problems.append(Problem("invalid_value", "text.body", reason))
    if not problems and text.title.count(CODE_PLACE) + text.body.count(CODE_PLACE) != 1:
        reason = f"must hold {CODE_PLACE} once, or the title does"
        problems.append(Problem("missing_code_place", "text.body", reason))
    return problems


def _is_text(value: object, most: int, *, allowed: str = "") -> bool:
    if not isinstance(value, str) or not value.strip() or len(value) > most:
        return False
    return all(unicodedata.category(letter) not in _UNSENDABLE or letter in allowed for letter in value)


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise InvalidInputError(problems)

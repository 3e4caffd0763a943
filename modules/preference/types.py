"""The words of the preference module: whether an account wants to be told something."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from modules.application.errors import Problem

SYSTEM_DEFAULT_ALLOWED = True
CATEGORY_MAX_LENGTH = 64
MAX_CATEGORIES = 200
# Categories are field names in the stored document: no dots, no dollar signs.
_CATEGORY = re.compile(rf"[a-z0-9][a-z0-9_-]{{0,{CATEGORY_MAX_LENGTH - 1}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """What an account said about push: by category, and for all others. None: it never said.

    `updated_at` is the database's time, aware and UTC; None when nothing is recorded.
    """

    account_id: str
    default_allowed: bool | None
    categories: Mapping[str, bool]
    updated_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """May we, and why (or why not); the reason is a short text for the notification's timeline."""

    allowed: bool
    reason: str


def category_problems(category: object, *, field: str = "category") -> list[Problem]:
    """What is wrong with a category; nothing when it is a name like marketing or order-updates."""
    if isinstance(category, str) and _CATEGORY.fullmatch(category):
        return []
    reason = f"must be 1 to {CATEGORY_MAX_LENGTH} of a-z, 0-9, _ and -, starting with a letter or digit"
    return [Problem("invalid_category", field, reason)]

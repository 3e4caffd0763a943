"""The words of the account module, and what an account id is wherever one is passed in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from modules.application.errors import Problem

ACCOUNT_ID_MAX_LENGTH = 128
DEFAULT_LOCALE = "en"
DEFAULT_TIME_ZONE = "UTC"
MAX_TAGS = 50
TAG_MAX_LENGTH = 64
# The most accounts one question may be about.
MAX_ACCOUNTS = 1_000

# Language, script and region of BCP 47, in the recommended case (RFC 5646, 2.1.1).
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")
_TAG = re.compile(rf"[a-z0-9][a-z0-9_-]{{0,{TAG_MAX_LENGTH - 1}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whom the service tells things. `locale` is a language tag (en, pt-BR), `time_zone` an IANA name.

    `tags` are names the caller groups accounts by, in order, each once.
    `created_at` and `updated_at` are the database's time, aware and UTC.
    """

    id: str
    locale: str
    time_zone: str
    tags: tuple[str, ...]
    created_at: datetime
    updated_at: datetime


def account_id_problems(account_id: object, *, field: str = "account_id") -> list[Problem]:
    """What is wrong with an account id; nothing when it is 1 to 128 printable characters, not padded."""
    if not isinstance(account_id, str):
        return [Problem("invalid_account_id", field, "must be a string")]
    if not 1 <= len(account_id) <= ACCOUNT_ID_MAX_LENGTH:
        return [Problem("invalid_account_id", field, f"must have 1 to {ACCOUNT_ID_MAX_LENGTH} characters")]
    if not account_id.isprintable() or account_id != account_id.strip():
        return [Problem("invalid_account_id", field, "must be printable, without spaces around it")]
    return []


def locale_problems(locale: object, *, field: str = "locale") -> list[Problem]:
    """What is wrong with a locale; nothing when it is a language tag, perhaps with script and region."""
    if isinstance(locale, str) and _LOCALE.fullmatch(locale):
        return []
    return [Problem("invalid_locale", field, "must be a language tag like en, pt-BR, zh-Hant")]


def tag_problems(tag: object, *, field: str) -> list[Problem]:
    """What is wrong with a tag; nothing when it is a name like beta or gold-members."""
    if isinstance(tag, str) and _TAG.fullmatch(tag):
        return []
    reason = f"must be 1 to {TAG_MAX_LENGTH} of a-z, 0-9, _ and -, starting with a letter or digit"
    return [Problem("invalid_tag", field, reason)]

"""The words of the account module, and what an account id is wherever one is passed in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from modules.application.errors import Problem

ACCOUNT_ID_MAX_LENGTH = 128
DEFAULT_LOCALE = "en"
DEFAULT_TIME_ZONE = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whom the service tells things. `locale` is a language tag (en, pt-BR), `time_zone` an IANA name.

    `created_at` and `updated_at` are the database's time, aware and UTC.
    """

    id: str
    locale: str
    time_zone: str
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

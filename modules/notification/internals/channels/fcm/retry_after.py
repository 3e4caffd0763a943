"""Reads Retry-After: a provider's word on when to come back, held within what can be obeyed."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MIN_RETRY_AFTER_SECONDS = 1.0
# A week; what waits so long mostly ends before, at its own expiry.
MAX_RETRY_AFTER_SECONDS = 604_800.0

_SECONDS = re.compile(r"([+-]?)(\d+)(\.\d*)?", re.ASCII)


def parse_retry_after(value: str | None, *, now: datetime) -> float | None:
    """Seconds to wait, from delay seconds or an HTTP-date (RFC 9110, 10.2.3); None for neither.

    What is too short, past or negative becomes 1 second, what is too long one week.
    """
    if value is None:
        return None
    seconds = _SECONDS.fullmatch(value.strip())
    if seconds:
        sign, whole, fraction = seconds.groups()
        # int() refuses more than 4,300 digits, and ten are far beyond the clamp.
        amount = float(whole[-10:] + (fraction or "")) if len(whole.lstrip("0")) <= 10 else float("inf")
        return _clamp(-amount if sign == "-" else amount)
    moment = parse_http_date(value)
    return None if moment is None else _clamp((moment - now).total_seconds())


def parse_http_date(value: str | None) -> datetime | None:
    """An HTTP-date, aware; None for anything else."""
    if value is None:
        return None
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _clamp(seconds: float) -> float:
    return min(max(seconds, MIN_RETRY_AFTER_SECONDS), MAX_RETRY_AFTER_SECONDS)

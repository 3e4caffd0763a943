"""When a message is to be given up, from what a caller says: a time, or how long from now."""

from __future__ import annotations

from datetime import datetime, timedelta

from modules.application.param_rules import EXPIRED, ProblemList

# What every provider of today keeps a message for at the most.
LONGEST_EXPIRY = timedelta(days=28)


def resolve_expiry(
    expires_at: object, expires_in: object, *, now: datetime, problems: ProblemList
) -> datetime | None:
    """The moment in UTC, None for no expiry or where a problem was noted; `now` is the database's time."""
    if expires_in is None:
        return _expiry_at(problems.moment(expires_at, "expires_at", now=now), now, problems)
    if expires_at is not None:
        problems.add("conflict", "expires_in", "expires_at says it as well; give one of them")
    elif not isinstance(expires_in, timedelta):
        problems.add("invalid_type", "expires_in", "must be a timedelta")
    elif expires_in <= timedelta(0):
        problems.add("invalid_value", "expires_in", "must be longer than nothing")
    elif expires_in > LONGEST_EXPIRY:
        problems.add("expires_too_late", "expires_in", _beyond_longest())
    else:
        return now + expires_in
    return None


def _expiry_at(moment: datetime | None, now: datetime, problems: ProblemList) -> datetime | None:
    if moment is None:
        return None
    left = moment - now
    if left <= timedelta(0):
        problems.add(EXPIRED, "expires_at", "is in the past")
        return None
    if left >= LONGEST_EXPIRY + timedelta(seconds=1):
        problems.add("expires_too_late", "expires_at", _beyond_longest())
        return None
    return moment


def _beyond_longest() -> str:
    return f"must be within {LONGEST_EXPIRY.days} days, nothing is kept longer"

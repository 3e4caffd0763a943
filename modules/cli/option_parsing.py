"""Reads the values of options that are more than a word; every problem is collected, none is raised alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from modules.application.errors import Problem

MAX_DURATION = timedelta(days=3650)
_SECONDS_OF = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_PART = r"(\d{1,9}(?:\.\d{1,3})?)([smhd])"
_DURATION = re.compile(rf"(?:{_PART})+", re.ASCII)


def parse_duration(text: str, field: str, problems: list[Problem]) -> timedelta | None:
    """A duration like 90s, 10m, 2h, 1h30m; None, with a problem noted, when it is none."""
    seconds = 0.0
    if _DURATION.fullmatch(text):
        parts = re.findall(_PART, text, re.ASCII)
        seconds = sum(float(number) * _SECONDS_OF[unit] for number, unit in parts)
    if not 0 < seconds <= MAX_DURATION.total_seconds():
        reason = f"must be a duration like 90s, 10m, 2h or 1h30m, at most {MAX_DURATION.days}d"
        problems.append(Problem("invalid_duration", field, reason))
        return None
    return timedelta(seconds=seconds)


def parse_data(pairs: Sequence[str], field: str, problems: list[Problem]) -> dict[str, str]:
    """The pairs key=value as a mapping; the value is all that follows the first equals sign."""
    data: dict[str, str] = {}
    for position, pair in enumerate(pairs):
        key, equals, value = pair.partition("=")
        where = f"{field}[{position}]"
        if not equals or not key:
            problems.append(Problem("invalid_pair", where, "must be key=value"))
        elif key in data:
            problems.append(Problem("duplicate_key", where, f"the key {key} was given before"))
        else:
            data[key] = value
    return data

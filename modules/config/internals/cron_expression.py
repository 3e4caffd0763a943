"""Says what is wrong with a cron expression before Temporal is asked, which has the last word on it."""

from __future__ import annotations

import re
from dataclasses import dataclass

WORDS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
SHORTEST_NAME = 3

_ZONE = re.compile(r"(CRON_)?TZ=\S+\s+")
_EVERY = re.compile(r"@every\s+\S+")
_PART = re.compile(r"(?:\*|([0-9A-Za-z]+)(?:-([0-9A-Za-z]+))?)(?:/([0-9]+))?")
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()

    def number(self, text: str) -> int | None:
        """The number that is meant; None for what this field does not know."""
        if text.isdecimal():
            number = int(text)
        else:
            said = text.lower()
            known = [place for place, name in enumerate(self.names) if name.startswith(said)]
            if len(said) < SHORTEST_NAME or not known:
                return None
            number = known[0] + self.lowest
        return number if self.lowest <= number <= self.highest else None


_SECOND = _Field("second", 0, 59)
_USUAL = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 7, _WEEKDAYS),
)
_YEAR = _Field("year", 1970, 9999)
# As Temporal counts them: the sixth is a year, and seconds come first only with one.
_FIELDS = {5: _USUAL, 6: (*_USUAL, _YEAR), 7: (_SECOND, *_USUAL, _YEAR)}


def cron_problem(expression: str) -> str | None:
    """What is wrong with it, None where nothing is to be seen from here."""
    said = _ZONE.sub("", expression.strip(), count=1).partition("#")[0].strip()
    if said in WORDS or _EVERY.fullmatch(said):
        return None
    texts = said.split()
    fields = _FIELDS.get(len(texts))
    if fields is None:
        known = ", ".join(WORDS)
        return (
            f"must be a cron expression of 5 to 7 fields, @every with a duration like 5m, or one of {known}"
        )
    wrong = [field.name for field, text in zip(fields, texts, strict=True) if not _is_good(text, field)]
    return f"is no cron expression: see the field of the {', '.join(wrong)}" if wrong else None


def _is_good(text: str, field: _Field) -> bool:
    return all(_is_good_part(part, field) for part in text.split(","))


def _is_good_part(part: str, field: _Field) -> bool:
    match = _PART.fullmatch(part)
    if match is None or (match[3] is not None and int(match[3]) == 0):
        return False
    if match[1] is None:
        return True
    first = field.number(match[1])
    last = first if match[2] is None else field.number(match[2])
    return first is not None and last is not None and first <= last

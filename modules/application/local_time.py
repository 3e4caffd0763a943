"""Finds the moment that a wall clock's time means: in one hour of a year it names two, in another none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from enum import Enum


class Meant(Enum):
    """On which side of now a time is looked for: an expiry lies ahead, what is listed lies behind."""

    AHEAD = "ahead"
    BEHIND = "behind"


class HostZone(tzinfo):
    """This host's local time with all its rules, as the C library has them."""

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        if dt is None:
            return None
        wall = dt.replace(tzinfo=None, microsecond=0)
        return wall - datetime.fromtimestamp(wall.timestamp(), UTC).replace(tzinfo=None)

    def dst(self, dt: datetime | None) -> timedelta | None:
        return None

    def tzname(self, dt: datetime | None) -> str | None:
        return None


HOST_ZONE = HostZone()


def moment_meant(
    time: datetime, *, now: datetime, meant: Meant = Meant.AHEAD, zone: tzinfo = HOST_ZONE
) -> datetime:
    """The moment that `time` names, in UTC; `zone` is that of a time without one.

    Where clocks are put back a time has two readings, where they are put forward it is reckoned by the zone's
    offset before or after. Arithmetic forgets which one was meant (PEP 495: its results have fold 0), so the
    one that the time itself says is taken unless it lies on the wrong side of `now` and the other does not.
    Raises OverflowError, ValueError or OSError for a time that cannot be reckoned with.
    """
    placed = time if time.tzinfo is not None else time.replace(tzinfo=zone)
    said, other = (placed.replace(fold=fold).astimezone(UTC) for fold in (placed.fold, 1 - placed.fold))
    if _is_meant(other, now, meant) and not _is_meant(said, now, meant):
        return other
    return said


def _is_meant(moment: datetime, now: datetime, meant: Meant) -> bool:
    return moment > now if meant is Meant.AHEAD else moment <= now

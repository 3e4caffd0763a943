"""What a person means by a wall clock's time, in every zone and at every change of its clocks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.application.local_time import HOST_ZONE, Meant, moment_meant

# (zone, the moment of the change): put back by an hour and by half of one, forward, and by a whole day.
CHANGES = {
    "autumn in Berlin": ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    "spring in Berlin": ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    "autumn in New York": ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    "spring in New York": ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    "half an hour back on Lord Howe": ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    "half an hour forward on Lord Howe": ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    "a day that Apia did without": ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
    "a day that Kwajalein did without": ("Pacific/Kwajalein", datetime(1993, 8, 21, 12, tzinfo=UTC)),
    "another offset in Caracas": ("America/Caracas", datetime(2016, 5, 1, 7, tzinfo=UTC)),
}
changes = st.sampled_from(sorted(CHANGES.values()))
around = st.timedeltas(min_value=timedelta(hours=-30), max_value=timedelta(hours=30))
ahead = st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(hours=30))
EUROPE = ZoneInfo("Europe/Berlin")


def wall(moment: datetime, zone: ZoneInfo) -> datetime:
    """What the clock on the wall shows, without a word of which reading it is."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


@contextmanager
def living_in(name: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        yield
    time.tzset()


def is_plain(naive: datetime, zone: ZoneInfo) -> bool:
    """The zone has exactly one reading of it."""
    return naive.replace(tzinfo=zone, fold=0).utcoffset() == naive.replace(tzinfo=zone, fold=1).utcoffset()


@pytest.mark.parametrize("minutes", [1, 10, 29])
@pytest.mark.parametrize(("name", "change"), CHANGES.values(), ids=CHANGES)
def test_minutes_added_to_the_clock_on_the_wall_are_minutes_from_now(
    name: str, change: datetime, minutes: int
) -> None:
    """Wherever the sum has two readings or none; any other is what the clock will show."""
    zone, added = ZoneInfo(name), timedelta(minutes=minutes)
    for before in range(-180, 180, 7):
        now = change + timedelta(minutes=before)
        naive = wall(now, zone) + added
        if not is_plain(naive, zone):
            assert moment_meant(naive, now=now, zone=zone) == now + added, (now, naive)
            aware = now.astimezone(zone) + added
            assert moment_meant(aware, now=now) == now + added, "a zone of its own forgets it as well"


@given(change=changes, before=around, added=ahead)
def test_a_sum_that_the_clock_can_show_ahead_is_never_taken_for_the_past(
    change: tuple[str, datetime], before: timedelta, added: timedelta
) -> None:
    zone, now = ZoneInfo(change[0]), change[1] + before
    naive = wall(now, zone) + added
    readings = [naive.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    found = moment_meant(naive, now=now, zone=zone)
    assert found in readings
    assert found > now or max(readings) <= now


@given(change=changes, before=around, subtracted=ahead)
def test_what_lies_behind_is_never_taken_for_the_future(
    change: tuple[str, datetime], before: timedelta, subtracted: timedelta
) -> None:
    zone, now = ZoneInfo(change[0]), change[1] + before
    naive = wall(now, zone) - subtracted
    readings = [naive.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    found = moment_meant(naive, now=now, zone=zone, meant=Meant.BEHIND)
    assert found in readings
    assert found <= now or min(readings) > now


@given(
    naive=st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2037, 1, 1)),
    now=st.datetimes(timezones=st.just(UTC)),
    name=st.sampled_from(sorted(available_timezones())),
    meant=st.sampled_from(Meant),
)
def test_a_time_with_one_reading_is_that_one_whatever_the_hour(
    naive: datetime, now: datetime, name: str, meant: Meant
) -> None:
    zone = ZoneInfo(name)
    if is_plain(naive, zone):
        assert moment_meant(naive, now=now, zone=zone, meant=meant) == naive.replace(tzinfo=zone)


@given(
    moment=st.datetimes(
        timezones=st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))
    ),
    now=st.datetimes(timezones=st.just(UTC)),
)
def test_a_time_with_an_offset_is_what_it_says(moment: datetime, now: datetime) -> None:
    try:
        expected = moment.astimezone(UTC)
    except OverflowError:
        return
    assert moment_meant(moment, now=now) == expected


def test_a_reading_that_is_said_is_kept_where_both_lie_ahead_or_both_behind() -> None:
    twice = datetime(2026, 10, 25, 2, 30)
    first, second = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    for now in (first - timedelta(hours=1), second + timedelta(hours=1)):
        for meant in Meant:
            assert moment_meant(twice, now=now, zone=EUROPE, meant=meant) == first
            assert moment_meant(twice.replace(fold=1), now=now, zone=EUROPE, meant=meant) == second


@pytest.mark.parametrize(("name", "change"), CHANGES.values(), ids=CHANGES)
def test_the_hosts_zone_has_the_rules_of_the_zone_that_tz_names(name: str, change: datetime) -> None:
    zone = ZoneInfo(name)
    with living_in(name):
        for minutes in range(-1500, 1500, 17):
            naive = wall(change, zone) + timedelta(minutes=minutes, microseconds=123_457)
            for fold in (0, 1):
                said = naive.replace(fold=fold)
                here, there = said.replace(tzinfo=HOST_ZONE), said.replace(tzinfo=zone)
                assert here.utcoffset() == there.utcoffset(), said

"""When a message is to be given up: a time that a person means, or how long from the database's now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from modules.application.errors import InvalidInputError
from modules.application.param_rules import ProblemList
from modules.notification.internals.channels.fcm.message_builder import MAX_TTL_SECONDS
from modules.notification.internals.domain.expiry import LONGEST_EXPIRY, resolve_expiry
from modules.notification.internals.fcm_params import FCMParams
from modules.notification.types import ApnsOptions
from tests.support.fcm_checks import NOW, found
from tests.support.fcm_factories import make_params

LONGEST = timedelta(days=28)
# Each minute of three hours around a change of the clocks, seen as people there see it.
CHANGES = [
    datetime(2026, 10, 25, 1, tzinfo=UTC).astimezone(ZoneInfo("Europe/Berlin")),
    datetime(2026, 3, 29, 1, tzinfo=UTC).astimezone(ZoneInfo("Europe/Berlin")),
    datetime(2026, 11, 1, 6, tzinfo=UTC).astimezone(ZoneInfo("America/New_York")),
    datetime(2026, 4, 4, 15, tzinfo=UTC).astimezone(ZoneInfo("Australia/Lord_Howe")),
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC).astimezone(ZoneInfo("Australia/Lord_Howe")),
    datetime(2011, 12, 30, 10, tzinfo=UTC).astimezone(ZoneInfo("Pacific/Apia")),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change.tzinfo} {change.date()}")
def test_a_code_that_lasts_ten_minutes_is_never_refused_as_late(change: datetime) -> None:
    """The third example of the reference document, on a host in that zone."""
    zone, refused = change.tzinfo, []
    for minutes in range(-90, 90, 3):
        now = (change.astimezone(UTC) + timedelta(minutes=minutes)).astimezone(zone)
        with time_machine.travel(now, tick=False):
            pushed = FCMParams(
                params=make_params(),
                immediate=True,
                expires_at=datetime.now() + timedelta(minutes=10),
                now=datetime.now(UTC),
            )
            try:
                pushed.validate()
            except InvalidInputError:
                refused.append(now)
            problems = ProblemList()
            expires_at = resolve_expiry(pushed.expires_at, None, now=now.astimezone(UTC), problems=problems)
            assert not list(problems), now
            assert expires_at is not None
            assert timedelta(0) < expires_at - now, now
    assert refused == []


@given(seconds=st.timedeltas(min_value=timedelta(microseconds=1), max_value=LONGEST))
def test_how_long_is_reckoned_from_the_databases_now(seconds: timedelta) -> None:
    problems = ProblemList()
    assert resolve_expiry(None, seconds, now=NOW, problems=problems) == NOW + seconds
    assert not problems


@pytest.mark.parametrize(
    ("expires_in", "expected"),
    [
        (timedelta(milliseconds=1), []),
        (LONGEST, []),
        (LONGEST + timedelta(microseconds=1), [("expires_too_late", "expires_in")]),
        (timedelta.max, [("expires_too_late", "expires_in")]),
        (timedelta(0), [("invalid_value", "expires_in")]),
        (timedelta.min, [("invalid_value", "expires_in")]),
        (600, [("invalid_type", "expires_in")]),
        ("10m", [("invalid_type", "expires_in")]),
        (NOW, [("invalid_type", "expires_in")]),
    ],
)
def test_how_long_is_above_nothing_and_within_28_days(
    expires_in: object, expected: list[tuple[str, str]]
) -> None:
    assert found(expires_in=expires_in) == expected


@pytest.mark.parametrize("expires_at", [NOW + timedelta(hours=1), NOW - timedelta(hours=1), "tomorrow"])
def test_one_of_both_is_said(expires_at: object) -> None:
    assert found(expires_at=expires_at, expires_in=timedelta(hours=1)) == [("conflict", "expires_in")]


def test_an_own_apns_expiry_is_a_conflict_with_how_long_as_well() -> None:
    params = make_params(apns=ApnsOptions(headers={"apns-expiration": "1772366400"}))
    assert found(params, expires_in=timedelta(hours=1)) == [("conflict", "apns.headers.apns-expiration")]


def test_no_expiry_is_none() -> None:
    assert resolve_expiry(None, None, now=NOW, problems=ProblemList()) is None


def test_an_aware_time_keeps_its_moment() -> None:
    said = (NOW + timedelta(hours=1)).astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert resolve_expiry(said, None, now=NOW, problems=ProblemList()) == said


def test_what_may_wait_longest_is_what_fcm_keeps() -> None:
    assert LONGEST_EXPIRY.total_seconds() == MAX_TTL_SECONDS


@pytest.mark.parametrize("moment", [NOW, NOW - timedelta(seconds=1), NOW + LONGEST + timedelta(seconds=1)])
def test_a_moment_that_is_refused_is_no_expiry(moment: datetime) -> None:
    problems = ProblemList()
    assert resolve_expiry(moment, None, now=NOW, problems=problems) is None
    assert problems

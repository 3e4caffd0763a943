"""How Retry-After is read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from modules.notification.internals.channels.fcm.retry_after import parse_retry_after

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WEEK_SECONDS = 7 * 86_400


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("٣", None),
        ("0", 1),
        ("1", 1),
        ("17", 17),
        ("1.5", 1.5),
        (" 30 ", 30),
        ("+30", 30),
        ("-30", 1),
        ("3601", 3601),
        ("604801", WEEK_SECONDS),
        ("9" * 5000, WEEK_SECONDS),
        ("0" * 5000 + "7", 7),
        ("Sun, 01 Mar 2026 12:01:30 GMT", 90),
        ("Sun, 01 Mar 2026 12:01:30 -0000", 90),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 1),
        ("Mon, 02 Mar 2026 12:00:00 GMT", 86_400),
        ("Sun, 01 Mar 2099 12:00:00 GMT", WEEK_SECONDS),
        ("Sun, 99 Mar 2026 12:00:00 GMT", None),
        ("Sun, 01 Mar 99999999999 12:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_and_held_within_bounds(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, now=NOW) == seconds

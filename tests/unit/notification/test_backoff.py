"""How long a row waits: bounded from both sides, and never less than the provider asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.notification.internals.domain.backoff import DEFAULT_FLOOR_SECONDS, RETRY_AFTER_SPREAD, Backoff

attempts = st.integers(1, 10_000)
draws = st.floats(0, 1)
floors = st.floats(0, 120)
caps = st.floats(1, 3_600)


@given(attempts, draws, floors, caps)
def test_the_delay_lies_between_the_floor_and_the_cap(
    attempt: int, draw: float, floor: float, cap: float
) -> None:
    delay = Backoff(cap).delay_seconds(
        attempt=attempt, floor_seconds=floor, retry_after_seconds=None, draw=draw
    )
    assert min(floor or DEFAULT_FLOOR_SECONDS, cap) <= delay <= cap


@given(attempts, draws, floors, st.floats(0, 100_000))
def test_retry_after_wins_and_is_never_undercut(
    attempt: int, draw: float, floor: float, retry_after: float
) -> None:
    delay = Backoff(600.0).delay_seconds(
        attempt=attempt, floor_seconds=floor, retry_after_seconds=retry_after, draw=draw
    )
    assert retry_after <= delay <= retry_after * (1 + RETRY_AFTER_SPREAD)


@given(attempts, floors)
def test_the_longest_wait_never_shrinks_with_more_attempts(attempt: int, floor: float) -> None:
    def longest(number: int) -> float:
        return Backoff(600.0).delay_seconds(
            attempt=number, floor_seconds=floor, retry_after_seconds=None, draw=1.0
        )

    assert longest(attempt) <= longest(attempt + 1)


@pytest.mark.parametrize(
    ("attempt", "draw", "expected"),
    [(1, 0.0, 10.0), (1, 1.0, 20.0), (1, 0.5, 15.0), (2, 1.0, 40.0), (5, 1.0, 320.0), (6, 1.0, 600.0)],
)
def test_the_ceiling_doubles_up_to_the_cap(attempt: int, draw: float, expected: float) -> None:
    delay = Backoff(600.0).delay_seconds(
        attempt=attempt, floor_seconds=10.0, retry_after_seconds=None, draw=draw
    )
    assert delay == expected

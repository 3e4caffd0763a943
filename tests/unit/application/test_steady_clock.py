"""Time that only moves on, whatever becomes of the host and its clock."""

from __future__ import annotations

import time

import pytest

from modules.application import steady_clock
from modules.application.steady_clock import steady_seconds


def test_it_goes_on_while_the_host_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """CLOCK_BOOTTIME counts a sleep of the host, CLOCK_MONOTONIC does not (clock_gettime(2))."""
    slept = 3_600.0
    asked = {time.CLOCK_BOOTTIME: time.monotonic() + slept, time.CLOCK_MONOTONIC: time.monotonic()}
    monkeypatch.setattr(time, "clock_gettime", asked.__getitem__)
    assert steady_seconds() == asked[time.CLOCK_BOOTTIME]


def test_it_never_goes_back() -> None:
    moments = [steady_seconds() for _ in range(1_000)]
    assert moments == sorted(moments)


def test_a_system_without_such_a_clock_has_the_monotonic_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady_clock, "_CLOCK", None)
    before = time.monotonic()
    assert before <= steady_seconds() <= time.monotonic()

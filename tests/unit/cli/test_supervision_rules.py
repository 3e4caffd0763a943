"""How many worker processes, how soon again, how large, and on which ports."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.application.errors import ConfigurationError
from modules.cli.supervision_rules import (
    LASTING_SECONDS,
    LONGEST_PAUSE_SECONDS,
    RestartPauses,
    metrics_ports,
    resident_mib,
    usable_cores,
)


@given(st.lists(st.floats(min_value=0, max_value=1e6)))
def test_a_pause_is_bounded_and_starts_anew_after_a_process_that_lasted(lasted: list[float]) -> None:
    pauses = RestartPauses()
    for lasted_seconds in lasted:
        pause_seconds = pauses.after(lasted_seconds)
        assert 1 <= pause_seconds <= LONGEST_PAUSE_SECONDS
        if lasted_seconds >= LASTING_SECONDS:
            assert pause_seconds == 1


def test_as_many_cores_as_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 7})
    assert usable_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert usable_cores() == 8


def test_each_process_has_a_port_of_its_own() -> None:
    assert metrics_ports(9000, 3) == (9000, 9001, 9002)
    assert metrics_ports(None, 2) == (None, None)


def test_ports_that_do_not_exist_are_refused() -> None:
    assert metrics_ports(65_534, 2) == (65_534, 65_535)
    with pytest.raises(ConfigurationError, match="65534"):
        metrics_ports(65_534, 3)


def test_memory_is_the_systems_own_figure() -> None:
    held = "x = bytearray(200 * 1024 * 1024); x[::4096] = b'1' * len(x[::4096]); print('up', flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{held}; input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        rss_mib = resident_mib(process.pid)
        process.communicate(b"\n")
    assert rss_mib is not None
    assert 200 <= rss_mib < 300
    assert resident_mib(process.pid) is None

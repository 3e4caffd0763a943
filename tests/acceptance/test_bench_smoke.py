"""The benchmarks run as their command, with tiny numbers: the last line is the JSON that a report quotes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.support.servers import ROOT

SECONDS = 110


def bench(*arguments: str, only: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env={**os.environ, "ONLY": only},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def last_line(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    line: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return line


def test_immediate_measures_the_call_and_its_floors_in_one_run() -> None:
    figures = last_line(bench("immediate", "--calls", "6", "--warm-up", "2", "--block", "3"))

    assert figures["benchmark"] == "immediate"
    assert figures["calls"] == 6
    assert 0 < figures["provider_ms"] < figures["p50_ms"] <= figures["p99_ms"]
    assert figures["firebase_admin_p50_ms"] > 0
    assert figures["bare_workflow_p50_ms"] > 0
    # The JSON rounds to two decimals.
    assert figures["p50_over_provider_ms"] == pytest.approx(
        figures["p50_ms"] - figures["provider_ms"], abs=0.02
    )


def test_individual_measures_rows_and_bare_workflows_in_one_run() -> None:
    figures = last_line(bench("individual", "--rows", "10", "--blocks", "1", "--warm-up", "2"))

    assert figures["benchmark"] == "individual"
    assert (figures["rows"], len(figures["blocks_rows_per_s"])) == (10, 1)
    assert figures["ratio"] == pytest.approx(figures["rows_per_s"] / figures["bare_workflows_per_s"], rel=0.1)


def test_a_name_that_is_no_benchmark_is_one_line() -> None:
    done = bench(only="nothing")

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1

"""How durations and data pairs are read from the command line."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.application.errors import Problem
from modules.cli.option_parsing import parse_data, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("2h", 7200),
        ("1d", 86_400),
        ("1h30m", 5400),
        ("0.5s", 0.5),
        ("3650d", 315_360_000),
    ],
)
def test_a_duration_has_units(text: str, seconds: float) -> None:
    problems: list[Problem] = []
    assert parse_duration(text, "expires_in", problems) == timedelta(seconds=seconds)
    assert problems == []


@pytest.mark.parametrize(
    "text",
    ["", "10", "m", "-5m", "0s", "5 m", "10x", "1h-30m", "1e3s", "3651d", "٣s", "9" * 40 + "s", "10m "],
)
def test_what_is_no_duration_is_noted_and_not_raised(text: str) -> None:
    problems: list[Problem] = []
    assert parse_duration(text, "expires_in", problems) is None
    assert [(problem.code, problem.field) for problem in problems] == [("invalid_duration", "expires_in")]


@given(st.dictionaries(st.text(min_size=1).filter(lambda key: "=" not in key), st.text()))
def test_every_mapping_survives_its_pairs(data: dict[str, str]) -> None:
    problems: list[Problem] = []
    assert parse_data([f"{key}={value}" for key, value in data.items()], "data", problems) == data
    assert problems == []


def test_the_value_keeps_its_equals_signs_and_may_be_empty() -> None:
    assert parse_data(["url=a=b", "empty="], "data", []) == {"url": "a=b", "empty": ""}


def test_every_wrong_pair_is_noted() -> None:
    problems: list[Problem] = []
    assert parse_data(["no-sign", "=no-key", "a=1", "a=2"], "data", problems) == {"a": "1"}
    found = [(problem.code, problem.field) for problem in problems]
    assert found == [("invalid_pair", "data[0]"), ("invalid_pair", "data[1]"), ("duplicate_key", "data[3]")]

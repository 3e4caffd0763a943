"""How a campaign's audience, pace and rollout are read from the command line."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from modules.application.errors import InvalidInputError, Problem
from modules.campaign.types import (
    AccountList,
    Audience,
    DeviceQuery,
    Rollout,
    Topic,
    TopicCondition,
)
from modules.cli.campaign_options import (
    AudienceOptions,
    parse_moment,
    parse_rate,
    parse_rollout,
    read_account_ids,
)
from modules.cli.exit_codes import UsageProblemsError
from modules.device_token.types import Platform

IDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=128)


def audience_of(options: AudienceOptions) -> Audience:
    problems: list[Problem] = []
    options.check(problems)
    query = options.to_query(problems)
    assert problems == []
    with options.opened(query) as audience:
        return audience


def test_each_kind_of_audience_has_its_options(tmp_path: Path) -> None:
    assert audience_of(AudienceOptions(topic="news")) == Topic(name="news")
    assert audience_of(AudienceOptions(topic="news", app_id="shop")) == Topic(name="news", app_id="shop")
    expression = "'a' in topics"
    assert audience_of(AudienceOptions(condition=expression)) == TopicCondition(expression=expression)
    assert audience_of(AudienceOptions(app_id="shop")) == DeviceQuery(app_id="shop")
    assert audience_of(
        AudienceOptions(
            platforms=(Platform.IOS,), locales=("de",), tags=("beta",), seen_after="2026-01-31T08:00:00Z"
        )
    ) == DeviceQuery(
        platforms=(Platform.IOS,),
        locales=("de",),
        tags=("beta",),
        last_seen_after=datetime(2026, 1, 31, 8, tzinfo=UTC),
    )
    file = tmp_path / "accounts"
    file.write_text("a\nb\n")
    options = AudienceOptions(accounts_file=str(file), app_id="shop")
    with options.opened(options.to_query([])) as audience:
        assert isinstance(audience, AccountList)
        assert list(audience.account_ids) == ["a", "b"]


@pytest.mark.parametrize(
    "options",
    [
        AudienceOptions(),
        AudienceOptions(topic="a", condition="b"),
        AudienceOptions(topic="a", tags=("b",)),
        AudienceOptions(accounts_file="-", topic="a"),
        AudienceOptions(accounts_file="-", platforms=(Platform.WEB,)),
        AudienceOptions(accounts_file="-", seen_before="2026-01-31"),
    ],
)
def test_an_audience_is_of_one_kind(options: AudienceOptions) -> None:
    problems: list[Problem] = []
    options.check(problems)
    assert [(problem.code, problem.field) for problem in problems] == [("invalid_audience", "audience")]


@given(st.lists(IDS))
def test_every_list_of_ids_survives_its_lines(account_ids: list[str]) -> None:
    lines = "".join(f"{account_id}\n" for account_id in account_ids)
    assert list(read_account_ids(io.BytesIO(lines.encode()))) == account_ids


def test_lines_end_in_any_way_and_empty_ones_are_nobody() -> None:
    assert list(read_account_ids(io.BytesIO(b"\xef\xbb\xbfa\r\n\nb b\nc"))) == ["a", "b b", "c"]


def test_a_line_that_is_no_account_id_is_named() -> None:
    with pytest.raises(InvalidInputError) as refused:
        list(read_account_ids(io.BytesIO(b"a\n\n\nb \nc\n")))
    [problem] = refused.value.problems
    assert (problem.code, problem.field) == ("invalid_account_id", "accounts_file")
    assert problem.reason.startswith("line 4 must be")


def test_ids_are_read_as_they_are_asked_for() -> None:
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            buffer[:2] = b"a\n"
            return 2

    account_ids = read_account_ids(io.BufferedReader(Endless()))
    assert [next(account_ids) for _ in range(3)] == ["a", "a", "a"]


def test_a_line_that_is_no_utf_8_is_named() -> None:
    account_ids = read_account_ids(io.BytesIO(b"a\n\xff\n"))
    assert next(account_ids) == "a"
    with pytest.raises(InvalidInputError, match="line 2"):
        next(account_ids)


def test_a_file_that_cannot_be_read_is_wrong_usage(tmp_path: Path) -> None:
    options = AudienceOptions(accounts_file=str(tmp_path / "absent"))
    with pytest.raises(UsageProblemsError) as caught, options.opened(DeviceQuery()):
        pass
    assert caught.value.field == "accounts_file"


def test_a_time_without_a_zone_is_this_hosts() -> None:
    assert parse_moment("2026-01-31T08:00", "seen_after", []) == datetime(2026, 1, 31, 8).astimezone()
    assert parse_moment("2026-01-31T08:00+02:00", "seen_after", []) == datetime(2026, 1, 31, 6, tzinfo=UTC)
    assert parse_moment(None, "seen_after", []) is None


@pytest.mark.parametrize(("minute", "hour"), [(20, 0), (40, 1)])
def test_a_time_that_was_twice_is_the_one_behind(minute: int, hour: int) -> None:
    now = datetime(2026, 10, 25, hour, 30, tzinfo=UTC).astimezone(ZoneInfo("Europe/Berlin"))
    with time_machine.travel(now):
        found = parse_moment(f"2026-10-25T02:{minute}", "seen_before", [])
    assert found == datetime(2026, 10, 25, 0, minute, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "31.1.2026"])
def test_what_is_no_time_is_noted(text: str) -> None:
    problems: list[Problem] = []
    assert parse_moment(text, "seen_after", problems) is None
    assert [(problem.code, problem.field) for problem in problems] == [("invalid_time", "seen_after")]


@pytest.mark.parametrize(("text", "rate"), [("100", 100.0), ("0.5", 0.5), ("none", None)])
def test_a_rate_is_a_number_or_none(text: str, rate: float | None) -> None:
    problems: list[Problem] = []
    assert parse_rate(text, "rate", problems) == rate
    assert problems == []


@pytest.mark.parametrize("text", ["", "0", "-1", "fast", "inf", "nan"])
def test_what_is_no_rate_is_noted(text: str) -> None:
    problems: list[Problem] = []
    parse_rate(text, "rate", problems)
    assert [(problem.code, problem.field) for problem in problems] == [("invalid_rate", "rate")]


def test_a_rollout_has_steps_and_perhaps_limits() -> None:
    problems: list[Problem] = []
    assert parse_rollout(None, max_error_rate=None, max_p95_ms=None, problems=problems) is None
    plain = parse_rollout("1,10.5,100", max_error_rate=None, max_p95_ms=None, problems=problems)
    assert plain == Rollout(steps=(1, 10.5, 100))
    limited = parse_rollout("100", max_error_rate=0.0, max_p95_ms=500.0, problems=problems)
    assert limited == Rollout(steps=(100,), max_error_rate=0, max_p95_ms=500)
    assert problems == []


def test_limits_need_a_rollout_and_steps_are_numbers() -> None:
    problems: list[Problem] = []
    assert parse_rollout(None, max_error_rate=0.1, max_p95_ms=5.0, problems=problems) is None
    assert parse_rollout("1,many,,100", max_error_rate=None, max_p95_ms=None, problems=problems) is None
    found = [(problem.code, problem.field) for problem in problems]
    assert found == [
        ("needs_rollout", "max_error_rate"),
        ("needs_rollout", "max_p95_ms"),
        ("invalid_steps", "rollout"),
    ]

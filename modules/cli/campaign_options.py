"""Reads what `notifications campaign` is told about audience, pace and rollout; collects every problem."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from modules.account.types import account_id_problems
from modules.application.app_ids import DEFAULT_APP_ID
from modules.application.errors import InvalidInputError, Problem
from modules.application.local_time import Meant, moment_meant
from modules.campaign.types import (
    AccountList,
    Audience,
    DeviceQuery,
    Rollout,
    Topic,
    TopicCondition,
)
from modules.cli.exit_codes import UsageProblemsError
from modules.device_token.types import Platform

FROM_STANDARD_INPUT = "-"
NO_RATE = "none"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceOptions:
    """The options that say whom a campaign is for, as they were typed."""

    accounts_file: str | None = None
    platforms: tuple[Platform, ...] = ()
    locales: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    seen_after: str | None = None
    seen_before: str | None = None
    topic: str | None = None
    condition: str | None = None
    app_id: str | None = None

    @property
    def is_search(self) -> bool:
        """Whether anything given is about devices to be searched."""
        return bool(self.platforms or self.locales or self.tags or self.seen_after or self.seen_before)

    @property
    def is_broadcast(self) -> bool:
        return self.topic is not None or self.condition is not None

    def check(self, problems: list[Problem]) -> None:
        """Note when not exactly one kind of audience is named; `--app` alone is a search."""
        kinds = [
            self.accounts_file is not None,
            self.is_search,
            self.topic is not None,
            self.condition is not None,
        ]
        if sum(kinds) > 1 or not (any(kinds) or self.app_id):
            reason = (
                "name one kind: --accounts-file, --topic, --condition, or a search by --platform, --app, "
                "--locale, --tag, --seen-after, --seen-before"
            )
            problems.append(Problem("invalid_audience", "audience", reason))

    def to_query(self, problems: list[Problem]) -> DeviceQuery:
        """The search these options describe."""
        return DeviceQuery(
            platforms=self.platforms,
            app_id=self.app_id,
            locales=self.locales,
            tags=self.tags,
            last_seen_after=parse_moment(self.seen_after, "seen_after", problems),
            last_seen_before=parse_moment(self.seen_before, "seen_before", problems),
        )

    @contextmanager
    def opened(self, query: DeviceQuery) -> Iterator[Audience]:
        """The audience; an accounts file stays open for the length of the block.

        Raises UsageProblemsError for a file that cannot be read.
        """
        if self.topic is not None:
            yield Topic(name=self.topic, app_id=self.app_id or DEFAULT_APP_ID)
        elif self.condition is not None:
            yield TopicCondition(expression=self.condition, app_id=self.app_id or DEFAULT_APP_ID)
        elif self.accounts_file == FROM_STANDARD_INPUT:
            yield AccountList(account_ids=read_account_ids(sys.stdin.buffer))
        elif self.accounts_file is not None:
            with _open(self.accounts_file) as file:
                yield AccountList(account_ids=read_account_ids(file))
        else:
            yield query


def read_account_ids(file: BinaryIO) -> Iterator[str]:
    """One id a line, as it is asked for; empty lines are passed over.

    Raises InvalidInputError naming the line that is no UTF-8 or no account id.
    """
    for number, line in enumerate(file, start=1):
        try:
            text = line.removeprefix(_BYTE_ORDER_MARK).decode() if number == 1 else line.decode()
        except UnicodeDecodeError:
            problem = Problem("invalid_encoding", "accounts_file", f"line {number} is not UTF-8")
            raise InvalidInputError([problem]) from None
        account_id = text.rstrip("\r\n")
        if account_id:
            for wrong in account_id_problems(account_id, field="accounts_file"):
                raise InvalidInputError([replace(wrong, reason=f"line {number} {wrong.reason}")])
            yield account_id


def parse_moment(text: str | None, field: str, problems: list[Problem]) -> datetime | None:
    """An ISO 8601 time in UTC, without a zone this host's; None, with a problem noted, when it is none."""
    if text is None:
        return None
    try:
        return moment_meant(datetime.fromisoformat(text), now=datetime.now(UTC), meant=Meant.BEHIND)
    except (ValueError, OverflowError, OSError):
        reason = "must be an ISO 8601 time like 2026-01-31, 2026-01-31T08:00 or 2026-01-31T08:00:00Z"
        problems.append(Problem("invalid_time", field, reason))
        return None


def parse_rate(text: str, field: str, problems: list[Problem]) -> float | None:
    """Accounts a second, or None for the word none; None, with a problem noted, when it is neither."""
    if text == NO_RATE:
        return None
    rate = _number(text)
    if rate is None or rate <= 0:
        problems.append(Problem("invalid_rate", field, f"must be accounts a second above 0, or {NO_RATE}"))
        return None
    return rate


def parse_rollout(
    steps: str | None,
    *,
    max_error_rate: float | None,
    max_p95_ms: float | None,
    problems: list[Problem],
) -> Rollout | None:
    """Percentages with commas between them, and the limits that belong to them; None without steps."""
    limits = {
        name: limit
        for name, limit in (("max_error_rate", max_error_rate), ("max_p95_ms", max_p95_ms))
        if limit is not None
    }
    if steps is None:
        problems.extend(Problem("needs_rollout", name, "has no meaning without --rollout") for name in limits)
        return None
    numbers = [_number(step) for step in steps.split(",")]
    percentages = tuple(number for number in numbers if number is not None)
    if len(percentages) < len(numbers):
        problems.append(Problem("invalid_steps", "rollout", "must be percentages like 1,10,50,100"))
        return None
    return Rollout(steps=percentages, **limits)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _open(path: str) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except OSError as error:
        problem = Problem("unreadable_file", "accounts_file", f"cannot be read: {error.strerror}")
        raise UsageProblemsError([problem]) from error

"""Checks a campaign before anything is written, and reports every failure at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from modules.account.types import locale_problems, tag_problems
from modules.application.errors import Problem
from modules.application.param_rules import ProblemList, app_id_problems
from modules.campaign.types import (
    AccountList,
    Audience,
    DeviceQuery,
    Rollout,
    Topic,
    TopicCondition,
)
from modules.device_token.types import Platform
from modules.notification.bulk_service import BulkService
from modules.notification.types import BroadcastKind, SendPushParams

MAX_STEPS = 50
MAX_CRITERIA = 100
MAX_NUMBER = 1e9
# One account has its turn within the longest time of a slice, which holds a slot of a worker meanwhile.
SLOWEST_PER_SECOND = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignRequest:
    """A campaign about to be recorded. The account ids of a list are checked while they are read."""

    audience: Audience = field(repr=False)
    params: SendPushParams = field(repr=False)
    campaign_key: str
    expires_at: datetime | None
    rate_per_second: float | None
    rollout: Rollout | None
    dry_run: bool
    expires_in: timedelta | None = None

    def validate(self, content_problems: Iterable[Problem]) -> None:
        """Raise InvalidInputError with all that is wrong; `content_problems`: with its message."""
        problems = ProblemList()
        problems.key(self.campaign_key, "campaign_key")
        _check_audience(self.audience, problems)
        problems.extend(list(content_problems))
        problems.extend(rate_problems(self.rate_per_second))
        _check_rollout(self.rollout, problems)
        if not isinstance(self.dry_run, bool):
            problems.add("invalid_type", "dry_run", "must be true or false")
        if is_broadcast(self.audience):
            for name in ("rate_per_second", "rollout"):
                if getattr(self, name) is not None:
                    problems.extend([unpaced(name)])
        problems.refuse()


def is_broadcast(audience: object) -> bool:
    return isinstance(audience, Topic | TopicCondition)


def unpaced(field: str) -> Problem:
    """What is wrong with pacing a topic or condition."""
    return Problem("conflict", field, "a topic or condition is one request: nothing to pace")


def rate_problems(rate_per_second: object) -> list[Problem]:
    """What is wrong with a rate; None is none."""
    if rate_per_second is None or _is_above_0(rate_per_second, least=SLOWEST_PER_SECOND):
        return []
    return [Problem("invalid_rate", "rate_per_second", f"must be a number, at least {SLOWEST_PER_SECOND}")]


def _check_audience(audience: object, problems: ProblemList) -> None:
    match audience:
        case AccountList():
            _check_list(audience.account_ids, problems)
        case DeviceQuery():
            _check_query(audience, problems)
        case Topic():
            problem = BulkService.address_problem(kind=BroadcastKind.TOPIC, address=audience.name)
            if problem is not None:
                problems.add("invalid_topic", "audience.name", problem)
            _check_app_id(audience.app_id, problems)
        case TopicCondition():
            problem = BulkService.address_problem(kind=BroadcastKind.CONDITION, address=audience.expression)
            if problem is not None:
                problems.add("invalid_condition", "audience.expression", problem)
            _check_app_id(audience.app_id, problems)
        case _:
            reason = "must be AccountList, DeviceQuery, Topic or TopicCondition"
            problems.add("invalid_type", "audience", reason)


def _check_list(account_ids: object, problems: ProblemList) -> None:
    if isinstance(account_ids, str | bytes | Mapping) or not isinstance(account_ids, Iterable):
        problems.add("invalid_type", "audience.account_ids", "must be an iterable of account ids")
    elif isinstance(account_ids, Sequence) and not account_ids:
        problems.add("empty_audience", "audience.account_ids", "must name at least one account")


def _check_query(query: DeviceQuery, problems: ProblemList) -> None:
    platforms = [platform.value for platform in Platform]
    for position, platform in _members(query.platforms, "audience.platforms", problems):
        problems.choice(platform, f"audience.platforms[{position}]", tuple(platforms))
    if query.app_id is not None:
        _check_app_id(query.app_id, problems)
    for position, locale in _members(query.locales, "audience.locales", problems):
        problems.extend(locale_problems(locale, field=f"audience.locales[{position}]"))
    for position, tag in _members(query.tags, "audience.tags", problems):
        problems.extend(tag_problems(tag, field=f"audience.tags[{position}]"))
    for name in ("last_seen_after", "last_seen_before"):
        moment = getattr(query, name)
        if moment is not None and (not isinstance(moment, datetime) or moment.tzinfo is None):
            problems.add("invalid_value", f"audience.{name}", "must be a datetime with a time zone")
        else:
            problems.moment(moment, f"audience.{name}")


def _members(values: object, name: str, problems: ProblemList) -> Iterable[tuple[int, object]]:
    if not isinstance(values, tuple | list):
        problems.add("invalid_type", name, "must be a tuple")
        return ()
    if len(values) > MAX_CRITERIA:
        problems.add("too_many_values", name, f"takes at most {MAX_CRITERIA} values")
    return enumerate(values[:MAX_CRITERIA])


def _check_app_id(app_id: object, problems: ProblemList) -> None:
    problems.extend(app_id_problems(app_id, field="audience.app_id"))


def _check_rollout(rollout: object, problems: ProblemList) -> None:
    if rollout is None:
        return
    if not isinstance(rollout, Rollout):
        problems.add("invalid_type", "rollout", "must be a Rollout")
        return
    steps = rollout.steps
    if not isinstance(steps, tuple | list) or not 1 <= len(steps) <= MAX_STEPS:
        problems.add("invalid_steps", "rollout.steps", f"must be 1 to {MAX_STEPS} percentages")
    elif not all(map(_is_above_0, steps)) or not _rise_to_100(steps):
        problems.add("invalid_steps", "rollout.steps", "must rise from above 0 to 100 percent")
    if rollout.max_error_rate != 0 and not _is_above_0(rollout.max_error_rate, most=1):
        problems.add("invalid_limit", "rollout.max_error_rate", "must be a number from 0 to 1")
    if not _is_above_0(rollout.max_p95_ms):
        problems.add("invalid_limit", "rollout.max_p95_ms", "must be a number of milliseconds above 0")


def _rise_to_100(steps: Sequence[float]) -> bool:
    return steps[-1] == 100 and all(a < b for a, b in itertools.pairwise(steps))


def _is_above_0(value: object, *, most: float = MAX_NUMBER, least: float = 0.0) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 < value <= most
        and value >= least
    )

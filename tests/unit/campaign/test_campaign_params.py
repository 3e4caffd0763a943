"""What a campaign may be, checked before anything is written."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from modules.application.errors import InvalidInputError
from modules.campaign.internals.campaign_params import CampaignRequest, is_broadcast
from modules.campaign.types import AccountList, DeviceQuery, Rollout, Topic, TopicCondition
from modules.device_token.types import Platform
from modules.notification.internals.fcm_params import MAX_BROADCAST_BYTES
from modules.notification.internals.intake.bulk_content import BulkContent
from tests.support.fcm_factories import make_params

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
# In UTC they are of the years 0 and 10000.
FIRST_MOMENT = datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))
LAST_MOMENT = datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))
LIST = AccountList(account_ids=["a"])


def make_request(**over: Any) -> CampaignRequest:
    request: dict[str, Any] = {
        "audience": LIST,
        "params": make_params(),
        "campaign_key": "spring-2026",
        "expires_at": None,
        "rate_per_second": None,
        "rollout": None,
        "dry_run": False,
    }
    return CampaignRequest(**{**request, **over})


class Clock:
    async def now(self) -> datetime:
        return NOW


def refused(**over: Any) -> list[str | None]:
    """The fields that are wrong."""
    request = make_request(**over)
    content = asyncio.run(
        BulkContent(Clock(), link_base=None).check(  # type: ignore[arg-type]
            request.params,
            expires_at=request.expires_at,
            expires_in=request.expires_in,
            is_broadcast=is_broadcast(request.audience),
        )
    )
    try:
        request.validate(content.problems)
    except InvalidInputError as error:
        assert all(problem.code and problem.reason for problem in error.problems)
        return [problem.field for problem in error.problems]
    return []


@pytest.mark.parametrize(
    "over",
    [
        {},
        {"audience": AccountList(account_ids=iter(["a"]))},
        {"audience": DeviceQuery()},
        {
            "audience": DeviceQuery(
                platforms=(Platform.IOS,), locales=("pt-BR",), tags=("beta",), app_id="shop"
            )
        },
        {"audience": DeviceQuery(last_seen_after=NOW, last_seen_before=NOW)},
        {"audience": Topic(name="news_2026.a~b%20-c")},
        {"audience": TopicCondition(expression="'a' in topics && !('b' in topics || 'c' in topics)")},
        {"rate_per_second": 0.5},
        {"rate_per_second": 7, "rollout": Rollout(steps=(100,), max_error_rate=0, max_p95_ms=1)},
        {"rollout": Rollout(), "expires_at": NOW + timedelta(hours=1), "dry_run": True},
        {"campaign_key": "k" * 255},
    ],
)
def test_good_campaigns_are_taken(over: dict[str, Any]) -> None:
    assert refused(**over) == []


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"campaign_key": ""}, "campaign_key"),
        ({"campaign_key": "k" * 256}, "campaign_key"),
        ({"campaign_key": "line\nbreak"}, "campaign_key"),
        ({"campaign_key": None}, "campaign_key"),
        ({"audience": ["a"]}, "audience"),
        ({"audience": AccountList(account_ids="abc")}, "audience.account_ids"),
        ({"audience": AccountList(account_ids=b"abc")}, "audience.account_ids"),  # type: ignore[arg-type]
        ({"audience": AccountList(account_ids={"a": 1})}, "audience.account_ids"),
        ({"audience": AccountList(account_ids=7)}, "audience.account_ids"),  # type: ignore[arg-type]
        ({"audience": AccountList(account_ids=[])}, "audience.account_ids"),
        ({"audience": DeviceQuery(platforms=("toaster",))}, "audience.platforms[0]"),  # type: ignore[arg-type]
        ({"audience": DeviceQuery(platforms="ios")}, "audience.platforms"),  # type: ignore[arg-type]
        ({"audience": DeviceQuery(app_id="")}, "audience.app_id"),
        ({"audience": DeviceQuery(locales=("en", "EN"))}, "audience.locales[1]"),
        ({"audience": DeviceQuery(tags=("Gold!",))}, "audience.tags[0]"),
        ({"audience": DeviceQuery(tags=("t",) * 101)}, "audience.tags"),
        ({"audience": DeviceQuery(last_seen_after=datetime(2026, 1, 1))}, "audience.last_seen_after"),
        ({"audience": DeviceQuery(last_seen_after=FIRST_MOMENT)}, "audience.last_seen_after"),
        ({"audience": DeviceQuery(last_seen_before=LAST_MOMENT)}, "audience.last_seen_before"),
        ({"audience": DeviceQuery(last_seen_before="now")}, "audience.last_seen_before"),  # type: ignore[arg-type]
        ({"audience": Topic(name="/topics/news")}, "audience.name"),
        ({"audience": Topic(name="")}, "audience.name"),
        ({"audience": Topic(name="news", app_id="a b")}, "audience.app_id"),
        ({"audience": TopicCondition(expression="news")}, "audience.expression"),
        ({"audience": Topic(name="news"), "rate_per_second": 1}, "rate_per_second"),
        ({"audience": TopicCondition(expression="'a' in topics"), "rollout": Rollout()}, "rollout"),
        ({"rate_per_second": 0}, "rate_per_second"),
        ({"rate_per_second": float("nan")}, "rate_per_second"),
        ({"rate_per_second": float("inf")}, "rate_per_second"),
        ({"rate_per_second": 10**400}, "rate_per_second"),
        ({"rate_per_second": True}, "rate_per_second"),
        ({"rate_per_second": "7"}, "rate_per_second"),
        ({"rollout": (1, 100)}, "rollout"),
        ({"rollout": Rollout(steps=())}, "rollout.steps"),
        ({"rollout": Rollout(steps=(1, 50))}, "rollout.steps"),
        ({"rollout": Rollout(steps=(10, 10, 100))}, "rollout.steps"),
        ({"rollout": Rollout(steps=(50, 10, 100))}, "rollout.steps"),
        ({"rollout": Rollout(steps=(0, 100))}, "rollout.steps"),
        ({"rollout": Rollout(steps=("1", 100))}, "rollout.steps"),  # type: ignore[arg-type]
        ({"rollout": Rollout(max_error_rate=1.1)}, "rollout.max_error_rate"),
        ({"rollout": Rollout(max_error_rate=-0.1)}, "rollout.max_error_rate"),
        ({"rollout": Rollout(max_p95_ms=0)}, "rollout.max_p95_ms"),
        ({"expires_at": NOW}, "expires_at"),
        ({"expires_in": timedelta(0)}, "expires_in"),
        ({"expires_in": timedelta(days=29)}, "expires_in"),
        ({"expires_in": timedelta(hours=1), "expires_at": NOW + timedelta(hours=1)}, "expires_in"),
        ({"expires_at": NOW + timedelta(days=29)}, "expires_at"),
        ({"params": make_params(title=" ")}, "title"),
        ({"params": {"title": "t"}}, "params"),
        ({"dry_run": "no"}, "dry_run"),
    ],
)
def test_what_is_wrong_is_refused_by_its_field(over: dict[str, Any], field: str) -> None:
    assert refused(**over) == [field]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    fields = refused(
        campaign_key="",
        audience=DeviceQuery(locales=("",), app_id=""),
        params=make_params(body=""),
        rate_per_second=-1,
        rollout=Rollout(steps=(5,)),
        dry_run=None,
    )
    assert set(fields) == {
        "campaign_key",
        "audience.locales[0]",
        "audience.app_id",
        "body",
        "rate_per_second",
        "rollout.steps",
        "dry_run",
    }


def test_a_topic_takes_half_the_payload_of_a_device() -> None:
    params = make_params(data={"k": "x" * MAX_BROADCAST_BYTES})
    assert refused(params=params) == []
    assert refused(params=params, audience=Topic(name="news")) == ["params"]

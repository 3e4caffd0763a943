"""Who has a matching device, on a real MongoDB: by pages, in order, each once, from index keys alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.collection import Collection

from modules.application.errors import InvalidInputError
from modules.application.event_loop_thread import EventLoopThread
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Platform
from tests.integration.device_token.device_documents import NOON, make_device

Devices = type[DeviceTokenService]
Stored = Collection[dict[str, Any]]
Profiled = Callable[[Callable[[], object]], list[dict[str, Any]]]
Ask = Callable[..., list[str]]


@pytest.fixture
def ask(devices: Devices, loop_thread: EventLoopThread) -> Ask:
    return lambda **over: loop_thread.run(devices.accounts_with_devices_async(**over))


def pages(ask: Ask, limit: int, **over: Any) -> list[list[str]]:
    """Every page, the last one not full."""
    found = [ask(limit=limit, **over)]
    while len(found[-1]) == limit:
        found.append(ask(limit=limit, after_account_id=found[-1][-1], **over))
    return found


def test_pages_hold_every_account_once_in_order(ask: Ask, stored: Stored) -> None:
    stored.insert_many(
        make_device(f"acc-{account:03}", number) for number in range(7) for account in reversed(range(100))
    )
    expected = [f"acc-{account:03}" for account in range(100)]
    for limit in (1, 7, 33, 50, 100, 1_000):
        found = pages(ask, limit)
        assert [account_id for page in found for account_id in page] == expected
        assert all(len(page) == limit for page in found[:-1])


def test_nobody_is_an_empty_page(ask: Ask) -> None:
    assert ask() == []


@pytest.mark.parametrize(
    ("criteria", "found"),
    [
        ({}, ["android", "both", "ios", "other", "seen"]),
        ({"platforms": (Platform.IOS,)}, ["both", "ios"]),
        ({"platforms": (Platform.IOS, Platform.WEB)}, ["both", "ios", "seen"]),
        ({"app_id": "other"}, ["other"]),
        ({"app_id": "default", "platforms": (Platform.ANDROID,)}, ["android", "both"]),
        ({"last_seen_after": NOON}, ["seen"]),
        ({"last_seen_before": NOON}, []),
        ({"last_seen_before": NOON + timedelta(minutes=1)}, ["android", "both", "ios", "other"]),
        ({"last_seen_after": NOON, "last_seen_before": NOON + timedelta(hours=2)}, ["seen"]),
        ({"last_seen_after": NOON, "platforms": (Platform.IOS,)}, []),
        ({"after_account_id": "ios"}, ["other", "seen"]),
    ],
)
def test_an_account_is_found_by_one_active_device_for_which_all_holds(
    ask: Ask, stored: Stored, criteria: dict[str, Any], found: list[str]
) -> None:
    stored.insert_many(
        [
            make_device("android", 0),
            make_device("ios", 0, platform="ios"),
            make_device("both", 0),
            make_device("both", 0, platform="ios", address="both/ios"),
            make_device("other", 0, app_id="other"),
            make_device("seen", 60, platform="web"),
            make_device("gone", 60, platform="web", state="inactive"),
            make_device("refused", 60, platform="ios", state="quarantined"),
        ]
    )
    assert ask(**criteria) == found


def test_an_account_with_twenty_thousand_devices_costs_a_page_of_keys(
    ask: Ask, stored: Stored, profiled: Profiled
) -> None:
    stored.insert_many(make_device("acc-1", number) for number in range(20_000))
    stored.insert_many(make_device(f"acc-{account}", 0) for account in (0, 2, 3))
    found: list[str] = []
    entries = profiled(lambda: found.extend(ask(limit=100)))
    assert found == ["acc-0", "acc-1", "acc-2", "acc-3"]
    assert sum(entry["keysExamined"] for entry in entries) <= 500
    for entry in entries:
        assert entry["docsExamined"] == 0
        assert not entry.get("hasSortStage", False)


@pytest.mark.parametrize(
    "criteria",
    [
        {},
        {"platforms": (Platform.ANDROID,), "app_id": "default"},
        {"last_seen_after": NOON - timedelta(days=1), "last_seen_before": NOON + timedelta(days=900)},
    ],
)
def test_a_page_is_read_from_the_index_alone_without_a_sort(
    ask: Ask, stored: Stored, profiled: Profiled, criteria: dict[str, Any]
) -> None:
    stored.insert_many(make_device(f"acc-{account}", number) for account in range(500) for number in range(2))
    [entry] = profiled(lambda: ask(limit=200, after_account_id="acc-2", **criteria))
    assert entry["planSummary"].startswith("IXSCAN { account_id: 1, state: 1, app_id: 1, platform: 1")
    assert (entry["docsExamined"], entry.get("hasSortStage", False)) == (0, False)
    assert entry["nreturned"] <= entry["keysExamined"] <= 2 * entry["nreturned"] + 1
    explained = stored.database.command(
        "explain",
        {key: entry["command"][key] for key in ("find", "filter", "projection", "sort", "limit", "hint")},
        verbosity="queryPlanner",
    )
    plan, stages = explained["queryPlanner"]["winningPlan"], []
    while plan:
        stages.append(plan["stage"])
        plan = plan.get("inputStage")
    assert stages == ["LIMIT", "PROJECTION_COVERED", "IXSCAN"]


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1_001}, "limit"),
        ({"limit": True}, "limit"),
        ({"platforms": ("toaster",)}, "platform"),
        ({"platforms": "ios"}, "platforms"),
        ({"app_id": ""}, "app_id"),
        ({"after_account_id": ""}, "after_account_id"),
        ({"last_seen_after": datetime(2026, 1, 1)}, "last_seen_after"),
        ({"last_seen_before": "now"}, "last_seen_before"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(ask: Ask, over: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        ask(**over)
    assert [problem.field for problem in refused.value.problems] == [field]


def test_a_time_in_another_zone_is_the_same_moment(ask: Ask, stored: Stored) -> None:
    stored.insert_one(make_device("acc-1", 1))
    assert ask(last_seen_after=NOON.astimezone(UTC)) == ["acc-1"]

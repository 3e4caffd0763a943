"""`notifications account` against real servers, as an operator types it."""

from __future__ import annotations

import uuid

import pytest

from tests.acceptance.command_line import CommandLine

NOTHING = {"devices": 0, "push_notifications": 0, "one_time_passwords": 0, "preferences": 0, "accounts": 0}


@pytest.fixture
def person(notifications: CommandLine) -> str:
    """An account with a device, a preference and a notification that waits."""
    account = f"person-{uuid.uuid4().hex[:8]}"
    device = ("device", "add", "--account", account, "--platform", "android", "--token", "-")
    notifications.json(*device, stdin="a-token-of-theirs\n")
    notifications.json("preference", "set", "deny", "--account", account, "--category", "marketing")
    notifications.json("send", "--account", account, "--title", "A secret", "--body", "of theirs")
    return account


def test_a_person_is_forgotten_and_the_command_says_what_went(
    notifications: CommandLine, person: str
) -> None:
    report = notifications.json("account", "forget", "--account", person, "--yes")
    erased = {**NOTHING, "devices": 1, "push_notifications": 1, "preferences": 1}
    assert report == {"account_id": person, "erased": erased, "withdrawn": 1, "interrupted": 0}
    [left] = notifications.json("list", "--account", person)["notifications"]
    shown = notifications.run("show", left["id"], "--json")
    assert "secret" not in shown.output
    assert shown.document["title"] == "erased"
    assert notifications.json("device", "list", "--account", person, "--all")["devices"] == []
    again = notifications.json("account", "forget", "--account", person, "--yes")
    assert (again["erased"], again["withdrawn"]) == (NOTHING, 0)


def test_it_asks_first_and_does_nothing_without_a_yes(notifications: CommandLine, person: str) -> None:
    refused = notifications.run("account", "forget", "--account", person, stdin="n\n")
    assert (refused.code, refused.output.strip()) == (1, "")
    assert "nothing was erased" in refused.errors
    ended = notifications.run("account", "forget", "--account", person, stdin="")
    assert ended.code == 130
    assert len(notifications.json("device", "list", "--account", person)["devices"]) == 1
    done = notifications.run("account", "forget", "--account", person, stdin="y\n")
    assert done.code == 0
    assert "erased from devices" in done.output
    asked = notifications.run("account", "forget", "--account", person, "--json", stdin="y\n")
    assert (asked.code, asked.document["erased"]) == (0, NOTHING)


def test_a_wrong_account_is_refused(notifications: CommandLine) -> None:
    refused = notifications.run("account", "forget", "--account", "", "--yes", "--json")
    assert (refused.code, refused.error["field"]) == (1, "account_id")


def test_devices_are_listed_by_pages(notifications: CommandLine) -> None:
    account = f"person-{uuid.uuid4().hex[:8]}"
    for number in range(3):
        add = ("device", "add", "--account", account, "--platform", "android", "--token", f"token-{number}")
        notifications.json(*add)
    listing = ("device", "list", "--account", account, "--limit", "2")
    first = [device["id"] for device in notifications.json(*listing)["devices"]]
    rest = [device["id"] for device in notifications.json(*listing, "--after", first[-1])["devices"]]
    assert (len(first), len(rest), len({*first, *rest})) == (2, 1, 3)


def test_a_device_too_many_is_refused_with_the_limit(notifications: CommandLine) -> None:
    account = f"person-{uuid.uuid4().hex[:8]}"
    strict = notifications.using(DEVICE_MAX_PER_ACCOUNT="1")
    add = ("device", "add", "--account", account, "--platform", "android", "--token")
    strict.json(*add, "first")
    refused = strict.run(*add, "second", "--json")
    assert (refused.code, refused.error["code"]) == (1, "too_many_devices")
    assert "at most 1 " in refused.error["reason"]

"""`notifications campaign` against real servers and a worker, as an operator types it."""

from __future__ import annotations

import json
import signal
import uuid
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command_line import CommandLine, Started
from tests.support.servers import eventually

NOWHERE = "127.0.0.1:1"
# At one a second more than any test takes.
ACCOUNTS = 200
FINISH_SECONDS = 60
TEXT = ("--title", "Hello", "--body", "You")


@pytest.fixture(scope="module", autouse=True)
def worker(notifications: CommandLine) -> Iterator[Started]:
    with notifications.start("worker", "--processes", "1", "--json") as started:
        assert json.loads(started.first_line())["ready"]
        yield started


@pytest.fixture
def key() -> str:
    return f"campaign-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def accounts(key: str) -> str:
    """Account ids, one a line, of this test alone; none of them has a device."""
    return "".join(f"{key}-account-{number}\n" for number in range(ACCOUNTS))


def send(notifications: CommandLine, key: str, *more: str, stdin: str = "") -> str:
    sent = notifications.json("campaign", "send", "--key", key, *TEXT, *more, stdin=stdin)
    return str(sent["campaign_id"])


def show(notifications: CommandLine, campaign_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = notifications.json("campaign", "show", campaign_id)
    return shown


def finished(notifications: CommandLine, campaign_id: str) -> dict[str, Any]:
    """The campaign when it is over, as `--watch` tells it."""
    ended = notifications.run("campaign", "show", campaign_id, "--watch", "--json")
    assert (ended.code, ended.errors) == (0, "")
    documents = [json.loads(line) for line in ended.output.splitlines()]
    assert all(before != after for before, after in pairwise(documents))
    last: dict[str, Any] = documents[-1]
    return last


def add_device(notifications: CommandLine, account: str, platform: str) -> None:
    arguments = ("--account", account, "--platform", platform, "--token", f"token-{account}")
    notifications.json("device", "add", *arguments)


def test_a_list_from_standard_input_is_sent_once_under_its_key(
    notifications: CommandLine, key: str, accounts: str
) -> None:
    add_device(notifications, f"{key}-account-0", "android")
    audience = ("--accounts-file", "-", "--expires-in", "1h")
    campaign_id = send(notifications, key, *audience, stdin=accounts)
    assert send(notifications, key, *audience, stdin=accounts) == campaign_id
    over = finished(notifications, campaign_id)
    assert (over["state"], over["accounts"], over["counts"]["sent"]) == ("completed", ACCOUNTS, 1)
    assert sum(over["counts"].values()) == ACCOUNTS
    assert over["counts"]["failed"] == sum(over["failures"].values()) == ACCOUNTS - 1
    for_people = notifications.run("campaign", "show", campaign_id)
    assert for_people.code == 0
    assert "completed" in for_people.output
    other = notifications.run("campaign", "send", "--key", key, *TEXT, "--topic", "news", "--json")
    assert (other.code, other.error["code"]) == (1, "campaign_key_conflict")


def test_a_search_can_be_tried_dry(notifications: CommandLine, key: str) -> None:
    app = ("--app", "default")
    for number, platform in enumerate(["ios", "ios", "web"]):
        add_device(notifications, f"{key}-{number}", platform)
    campaign_id = send(notifications, key, "--platform", "ios", *app, "--dry-run")
    over = finished(notifications, campaign_id)
    assert (over["state"], over["plan"]["accounts"], over["plan"]["platforms"]) == ("planned", 2, {"ios": 2})
    assert over["counts"] == {}
    assert "payload_bytes" in notifications.run("campaign", "show", campaign_id).output


def test_a_topic_is_one_request(notifications: CommandLine, key: str) -> None:
    over = finished(notifications, send(notifications, key, "--topic", "news"))
    assert (over["state"], over["accounts"], over["counts"]) == ("completed", 1, {"sent": 1})


def test_a_campaign_is_paused_resumed_paced_and_cancelled(
    notifications: CommandLine, key: str, accounts: str
) -> None:
    campaign_id = send(notifications, key, "--accounts-file", "-", "--rate", "1", stdin=accounts)
    assert notifications.json("campaign", "pause", campaign_id)["state"] == "paused"
    assert show(notifications, campaign_id)["state"] == "paused"
    for typed, rate in (("2.5", 2.5), ("none", None), ("1", 1)):
        assert notifications.json("campaign", "rate", campaign_id, typed)["rate_per_second"] == rate
    assert notifications.json("campaign", "resume", campaign_id)["state"] == "running"
    cancelled = notifications.json("campaign", "cancel", campaign_id)
    assert cancelled["state"] == "cancelled"
    over = finished(notifications, campaign_id)
    assert over["counts"]["cancelled"] > 0
    again = notifications.run("campaign", "pause", campaign_id, "--json")
    assert (again.code, again.error["code"]) == (1, "campaign_finished")


def test_campaigns_are_listed_newest_first(notifications: CommandLine, key: str) -> None:
    ids = [send(notifications, f"{key}-{number}", "--topic", "news") for number in range(2)]
    listed = notifications.json("campaign", "list", "--limit", "2")["campaigns"]
    assert [each["id"] for each in listed] == ids[::-1]
    for_people = notifications.run("campaign", "list")
    assert (for_people.code, f"{key}-1" in for_people.output) == (0, True)


def test_ctrl_c_ends_watching_and_not_the_campaign(
    notifications: CommandLine, key: str, accounts: str
) -> None:
    campaign_id = send(notifications, key, "--accounts-file", "-", "--rate", "1", stdin=accounts)
    with notifications.start("campaign", "show", campaign_id, "--watch", "--json") as watching:
        assert json.loads(watching.first_line())["id"] == campaign_id
        watching.signal(signal.SIGINT)
        ended = watching.ended()
    assert (ended.code, ended.errors) == (0, "")
    assert show(notifications, campaign_id)["state"] in ("collecting", "running")
    notifications.json("campaign", "cancel", campaign_id)


def test_people_watch_a_campaign_to_its_end(notifications: CommandLine, key: str) -> None:
    campaign_id = send(notifications, key, "--topic", "news")
    ended = notifications.run("campaign", "show", campaign_id, "--watch")
    assert (ended.code, ended.errors) == (0, "")
    assert "1/1" in ended.output
    assert "completed" in ended.output


@pytest.mark.parametrize(
    ("more", "fields"),
    [
        ([], ["audience"]),
        (["--topic", "a", "--condition", "b"], ["audience"]),
        (["--accounts-file", "/no/such/file"], ["accounts_file"]),
        (["--tag", "a", "--seen-after", "once", "--rate", "fast"], ["seen_after", "rate"]),
        (["--topic", "a", "--max-error-rate", "0.1"], ["max_error_rate"]),
    ],
)
def test_what_cannot_be_read_is_wrong_usage(
    notifications: CommandLine, key: str, more: list[str], fields: list[str]
) -> None:
    ended = notifications.run("campaign", "send", "--key", key, *TEXT, *more, "--json")
    assert ended.code == 2
    assert [problem["field"] for problem in ended.error["problems"]] == fields


def test_a_file_with_a_line_that_cannot_be_read_sends_nothing(
    notifications: CommandLine, key: str, tmp_path: Path
) -> None:
    file = tmp_path / "accounts"
    file.write_bytes(b"a\n\xff\n")
    ended = notifications.run("campaign", "send", "--key", key, *TEXT, "--accounts-file", str(file), "--json")
    assert (ended.code, ended.error["code"]) == (1, "invalid_encoding")
    listed = notifications.json("campaign", "list")["campaigns"]
    assert key not in [each["campaign_key"] for each in listed]


def test_what_the_service_refuses_is_told(notifications: CommandLine, key: str) -> None:
    steps = ("--rollout", "50,10", "--topic", "a b")
    refused = notifications.run("campaign", "send", "--key", key, *TEXT, *steps, "--json")
    assert refused.code == 1
    assert {problem["code"] for problem in refused.error["problems"]} >= {"invalid_topic", "invalid_steps"}
    unknown = notifications.run("campaign", "show", "no-such-id", "--json")
    assert (unknown.code, unknown.error["code"]) == (1, "campaign_not_found")


def test_a_campaign_without_temporal_is_kept_and_says_so(
    notifications: CommandLine, key: str, accounts: str
) -> None:
    away = notifications.using(TEMPORAL_ADDRESS=NOWHERE)
    arguments = ("campaign", "send", "--key", key, *TEXT, "--accounts-file", "-", "--json")
    ended = away.run(*arguments, stdin=accounts)
    assert (ended.code, ended.error["code"]) == (3, "temporal_unavailable")
    campaign_id = ended.error["campaign_id"]
    assert show(notifications, campaign_id)["state"] == "collecting"
    notifications.json("scan")
    eventually(
        lambda: show(notifications, campaign_id)["state"] == "completed", within_seconds=FINISH_SECONDS
    )


def test_a_command_that_nobody_hears_is_kept_and_says_so(
    notifications: CommandLine, key: str, accounts: str
) -> None:
    campaign_id = send(notifications, key, "--accounts-file", "-", "--rate", "1", stdin=accounts)
    away = notifications.using(TEMPORAL_ADDRESS=NOWHERE)
    ended = away.run("campaign", "rate", campaign_id, "2", "--json")
    assert (ended.code, ended.error["code"]) == (3, "campaign_command_deferred")
    assert show(notifications, campaign_id)["rate_per_second"] == 2
    ended = away.run("campaign", "cancel", campaign_id, "--json")
    assert (ended.code, ended.error["code"]) == (3, "campaign_command_deferred")
    assert ended.error["campaign_id"] == campaign_id
    over = finished(notifications, campaign_id)
    assert (over["state"], over["wish"]) == ("cancelled", None), "its slices have read the record"
    assert over["counts"]["cancelled"] > 0


def test_what_is_wanted_is_shown_until_it_is_so(notifications: CommandLine, key: str, accounts: str) -> None:
    campaign_id = send(notifications, key, "--accounts-file", "-", "--rate", "1", stdin=accounts)
    notifications.json("campaign", "pause", campaign_id)
    away = notifications.using(TEMPORAL_ADDRESS=NOWHERE)
    assert away.run("campaign", "cancel", campaign_id).code == 3
    shown = show(notifications, campaign_id)
    assert (shown["state"], shown["wish"]) == ("paused", "cancelled"), "no slice is there to read the record"
    for_people = notifications.run("campaign", "show", campaign_id).output
    assert [line.split() for line in for_people.splitlines() if line.startswith("wish")] == [
        ["wish", "cancelled"]
    ]
    assert "cancelled" in notifications.run("campaign", "list", "--limit", "1").output
    notifications.json("scan")
    assert finished(notifications, campaign_id)["state"] == "cancelled"

"""The `notifications` command against real servers, as an operator types it."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_stack.local_stack_service import LocalStack
from tests.acceptance.command_line import CommandLine, Started
from tests.support.servers import eventually

NOWHERE = "127.0.0.1:1"
NO_MONGODB = f"mongodb://{NOWHERE}/?replicaSet=rs0"
TOKEN = "cK3-a-registration-token-as-long-as-they-really-are-0123456789"
SLOW_TOKEN = "slow-device-sim-ok+delay=2500"
CHECKS = ["settings", "mongodb", "clock", "temporal", "schedule", "fcm:default"]


@pytest.fixture
def worker(notifications: CommandLine) -> Iterator[Started]:
    with notifications.start("worker", "--processes", "1", "--json") as started:
        assert json.loads(started.first_line()) == {"ready": True, "pid": started.pid}
        yield started


@pytest.fixture
def account() -> str:
    return f"account-{uuid.uuid4().hex[:8]}"


def add_device(notifications: CommandLine, account: str, token: str) -> dict[str, Any]:
    arguments = ("device", "add", "--account", account, "--platform", "android", "--token", "-")
    device: dict[str, Any] = notifications.json(*arguments, stdin=f"{token}\n")
    return device


def send(notifications: CommandLine, account: str, *more: str) -> dict[str, Any]:
    sent: dict[str, Any] = notifications.json(
        "send", "--account", account, "--title", "Hello", "--body", "You", *more
    )
    return sent


def status_of(notifications: CommandLine, notification_id: str) -> str:
    return str(notifications.json("show", notification_id)["status"])


def test_bootstrap_can_be_repeated(notifications: CommandLine) -> None:
    ended = notifications.run("bootstrap")
    assert ended.code == 0
    assert "ok" in ended.output


def test_a_device_whose_token_is_malformed_is_quarantined_and_reinstated(
    notifications: CommandLine, account: str
) -> None:
    device = add_device(notifications, account, f"{account}:sim-INVALID_ARGUMENT*1-token")
    message = ("--account", account, "--title", "t", "--body", "b", "--immediate")
    assert notifications.run("send", *message, "--json").document["status"] == "failed"
    [shown] = notifications.json("device", "list", "--account", account, "--all")["devices"]
    assert (shown["state"], shown["state_reason"]) == ("quarantined", "INVALID_ARGUMENT")
    assert notifications.json("device", "reinstate", device["id"])["state"] == "active"
    assert notifications.json("send", *message)["status"] == "sent"
    again = notifications.run("device", "reinstate", "0" * 24, "--json")
    assert (again.code, again.error["code"]) == (1, "device_not_found")


def test_a_device_is_listed_and_removed_and_its_token_never_printed(
    notifications: CommandLine, account: str
) -> None:
    device = add_device(notifications, account, TOKEN)
    listed = notifications.run("device", "list", "--account", account)
    assert device["id"] in listed.output
    assert TOKEN not in listed.output + json.dumps(device)
    removed = notifications.json("device", "remove", device["id"], "--account", account)
    assert removed["state"] == "inactive"
    assert notifications.json("device", "list", "--account", account)["devices"] == []
    everything = notifications.json("device", "list", "--account", account, "--all")["devices"]
    assert [each["id"] for each in everything] == [device["id"]]
    assert TOKEN not in json.dumps(everything)


def test_an_immediate_push_is_sent_shown_and_listed(
    notifications: CommandLine, account: str, stack: LocalStack
) -> None:
    device = add_device(notifications, account, f"token-{account}")
    sent = send(notifications, account, "--immediate", "--expires-in", "10m", "--data", "code=a=b")
    assert (sent["status"], sent["accepted_by_devices"]) == ("sent", 1)
    shown = notifications.json("show", sent["notification_id"])
    assert [each["device_id"] for each in shown["devices"]] == [device["id"]]
    assert shown["timeline"][0]["event"] == "accepted"
    link = f"/namespaces/default/workflows/push-notification%2F{sent['notification_id']}"
    assert shown["web_ui"] == f"{stack.ui_url}{link}"
    for_people = notifications.run("show", sent["notification_id"])
    assert (for_people.code, for_people.errors) == (0, "")
    assert link in for_people.output
    listed = notifications.json("list", "--account", account, "--limit", "1")["notifications"]
    assert [each["id"] for each in listed] == [sent["notification_id"]]


def test_a_scan_delivers_what_waits(notifications: CommandLine, account: str, worker: Started) -> None:
    add_device(notifications, account, f"token-{account}")
    sent = send(notifications, account, "--idempotency-key", "k1")
    assert sent["status"] == "pending"
    assert (
        send(notifications, account, "--idempotency-key", "k1")["notification_id"] == sent["notification_id"]
    )
    assert notifications.json("scan")["started"] >= 1
    eventually(lambda: status_of(notifications, sent["notification_id"]) == "sent", within_seconds=60)


def test_a_pending_notification_can_be_cancelled_twice(notifications: CommandLine, account: str) -> None:
    sent = send(notifications, account)
    first = notifications.json("cancel", sent["notification_id"])
    assert first["cancelled"]
    assert notifications.json("cancel", sent["notification_id"]) == first


def test_refused_input_names_every_problem(notifications: CommandLine) -> None:
    refused = notifications.run("send", "--account", " ", "--title", "", "--body", "b", "--data", "from=x")
    assert refused.code == 1
    assert refused.output == ""
    assert all(line.startswith("error: ") for line in refused.errors.splitlines())
    assert {line.split(": ")[1] for line in refused.errors.splitlines()} >= {"account_id", "title"}
    unknown = notifications.run("show", "no-such-id", "--json")
    assert (unknown.code, unknown.error["code"]) == (1, "push_notification_not_found")


def test_preferences_and_one_time_passwords(notifications: CommandLine, account: str) -> None:
    notifications.json("preference", "set", "deny", "--account", account, "--category", "marketing")
    assert notifications.json("preference", "show", "--account", account)["categories"] == {
        "marketing": False
    }
    nobody = notifications.run("otp", "send", "--account", account, "--json")
    assert (nobody.code, nobody.error["code"]) == (1, "one_time_password_unreachable")
    add_device(notifications, account, f"token-{account}")
    sent = notifications.json("otp", "send", "--account", account)
    assert (sent["reached"], sent["status"]) == (1, "sent")
    code = notifications.json("show", sent["notification_id"])["body"].removeprefix("Your code is ")
    whose = ("--account", account, "--ticket", sent["ticket"])
    refused = notifications.run("otp", "verify", "not-digits", *whose, "--json")
    assert (refused.code, refused.error["code"]) == (1, "malformed_code")
    stranger = ("--account", account, "--ticket", "0" * 32)
    refused = notifications.run("otp", "verify", code, *stranger, "--json")
    assert (refused.code, refused.error["code"]) == (1, "one_time_password_not_found")
    assert notifications.json("otp", "verify", code, *whose) == {"verified": True}
    # Too soon on most machines; on the slowest one the hour's five are used up.
    again = (notifications.run("otp", "send", "--account", account, "--json") for _ in range(5))
    refused = next(ended for ended in again if ended.code != 0)
    assert (refused.code, refused.error["code"]) == (1, "one_time_password_reissue_limited")


def test_a_doctor_finds_nothing_wrong(notifications: CommandLine) -> None:
    healthy = notifications.json("doctor")
    assert healthy["ok"]
    assert [check["check"] for check in healthy["checks"]] == CHECKS


def test_a_doctor_makes_every_check_whatever_fails(notifications: CommandLine, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.touch(mode=0o600)
    broken.write_text('{"private_key": "SECRET"')
    variables = {"MONGODB_URI": NO_MONGODB, "TEMPORAL_ADDRESS": NOWHERE, "FCM_CREDENTIALS_PATH": str(broken)}
    ended = notifications.using(**variables).run("doctor", "--json")
    assert ended.code == 1
    checks = ended.document["checks"]
    assert [check["check"] for check in checks] == CHECKS
    assert [check["ok"] for check in checks] == [True, *[False] * 5]
    assert all(check["remedy"] for check in checks[1:])
    assert "SECRET" not in ended.output + ended.errors
    assert ended.errors == ""


@pytest.mark.parametrize(
    ("variables", "failing"),
    [
        ({"MONGODB_URI": NO_MONGODB}, {"mongodb", "clock"}),
        ({"TEMPORAL_ADDRESS": NOWHERE}, {"temporal", "schedule"}),
    ],
)
def test_a_doctor_names_the_server_that_is_away(
    notifications: CommandLine, variables: dict[str, str], failing: set[str]
) -> None:
    ended = notifications.using(**variables).run("doctor", "--json")
    assert ended.code == 1
    assert {check["check"] for check in ended.document["checks"] if not check["ok"]} == failing


def test_a_doctor_minds_credentials_that_others_can_read(
    notifications: CommandLine, stack: LocalStack, tmp_path: Path
) -> None:
    exposed = Path(shutil.copy(stack.simulator.credentials_path, tmp_path / "exposed.json"))
    exposed.chmod(0o644)
    ended = notifications.using(FCM_CREDENTIALS_PATH=str(exposed)).run("doctor")
    assert ended.code == 1
    wrong = [line for line in ended.output.splitlines() if line.startswith("WRONG")]
    assert len(wrong) == 1
    assert f"chmod 600 {exposed}" in wrong[0]


def test_a_doctor_says_which_setting_is_wrong(notifications: CommandLine) -> None:
    ended = notifications.using(TEMPORAL_ADDRESS="not an address").run("doctor", "--json")
    assert ended.code == 1
    assert "temporal.address" in ended.document["checks"][0]["detail"]


def test_a_server_out_of_reach_is_exit_code_3(notifications: CommandLine, account: str) -> None:
    no_database = notifications.using(MONGODB_URI=NO_MONGODB).run("list", "--account", account, "--json")
    assert (no_database.code, no_database.error["code"]) == (3, "database_unavailable")
    without_temporal = notifications.using(TEMPORAL_ADDRESS=NOWHERE)
    for arguments in (("worker",), ("scan",), ("bootstrap",)):
        ended = without_temporal.run(*arguments)
        assert (ended.code, ended.output) == (3, "")
        assert len(ended.errors.splitlines()) == 1
        assert "(temporal_unavailable)" in ended.errors


def test_an_immediate_send_without_temporal_is_kept_and_says_so(
    notifications: CommandLine, account: str
) -> None:
    arguments = ("send", "--account", account, "--title", "t", "--body", "b", "--immediate", "--json")
    ended = notifications.using(TEMPORAL_ADDRESS=NOWHERE).run(*arguments)
    assert (ended.code, ended.error["code"]) == (3, "temporal_unavailable")
    assert status_of(notifications, ended.error["notification_id"]) == "pending"


def start_slow_delivery(notifications: CommandLine, account: str) -> str:
    """A notification that a worker is delivering: the simulator takes its time to answer."""
    add_device(notifications, account, f"{account}-{SLOW_TOKEN}")
    notification_id = str(send(notifications, account)["notification_id"])
    notifications.json("scan")
    return notification_id


def test_a_worker_told_to_stop_finishes_what_it_delivers(
    notifications: CommandLine, account: str, worker: Started, stack: LocalStack
) -> None:
    notification_id = start_slow_delivery(notifications, account)
    worker.signal(signal.SIGTERM)
    ended = worker.ended()
    assert (ended.code, ended.output) == (0, "")
    assert "Traceback" not in ended.errors
    # Either it had the row and finished it, or it never took it: nothing is left half done.
    assert status_of(notifications, notification_id) in ("sent", "pending")


def test_a_worker_is_stopped_by_ctrl_c_as_well(worker: Started) -> None:
    worker.signal(signal.SIGINT)
    assert worker.ended().code == 0


def test_a_second_signal_ends_a_worker_at_once(
    notifications: CommandLine, account: str, worker: Started
) -> None:
    add_device(notifications, account, f"{account}-device-sim-ok+delay=9000")
    notification_id = str(send(notifications, account)["notification_id"])
    notifications.json("scan")
    eventually(lambda: status_of(notifications, notification_id) == "processing", within_seconds=60)
    # Two of one kind could arrive as one.
    worker.signal(signal.SIGTERM)
    worker.signal(signal.SIGINT)
    assert worker.ended().code in (128 + signal.SIGTERM, 128 + signal.SIGINT)


@pytest.mark.parametrize(
    ("arguments", "number", "code"),
    [
        (("list", "--account", "a"), signal.SIGINT, 130),
        (("worker",), signal.SIGTERM, 0),
    ],
)
def test_a_signal_while_a_server_is_silent_ends_without_a_traceback(
    notifications: CommandLine, arguments: tuple[str, ...], number: signal.Signals, code: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"mongodb://127.0.0.1:{silent.getsockname()[1]}/?replicaSet=rs0"
        with notifications.using(MONGODB_URI=uri).start(*arguments) as command:
            connection, _ = silent.accept()
            command.signal(number)
            ended = command.ended()
            connection.close()
    assert (ended.code, ended.output) == (code, "")
    assert "Traceback" not in ended.errors


def test_a_reader_that_goes_away_is_no_fault(notifications: CommandLine) -> None:
    with notifications.start("--help") as command:
        command.close_output()
        assert command.ended().code == 141


def test_metrics_are_served_when_a_port_is_set(notifications: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = notifications.using(METRICS_PORT=str(port)).run("worker", "--json")
    assert (ended.code, ended.error["code"]) == (78, "metrics_port_unusable")

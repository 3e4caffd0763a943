"""Wrong setting, or server away? The message names the setting, and exit codes tell the two apart."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pymongo import MongoClient

from local_stack.local_stack_service import LocalStack
from tests.acceptance.command_line import CommandLine, bootstrapped
from tests.support.guarded_mongodb import PASSWORD, guarded_mongodb

NOWHERE = "127.0.0.1:1"
QUICK = {"MONGODB_SERVER_SELECTION_TIMEOUT_SECONDS": "1", "TEMPORAL_CONNECT_TIMEOUT_SECONDS": "5"}
# As the README has them.
A_CHECK_FAILED, UNAVAILABLE, MISCONFIGURED = 1, 3, 78
WORKER = ("worker", "--processes", "1")


@pytest.fixture(scope="module")
def notifications(stack: LocalStack) -> Iterator[CommandLine]:
    """As everywhere, but soon tired of servers that do not answer."""
    with bootstrapped(stack, **QUICK) as command:
        yield command


def of(stack: LocalStack, wanted: str) -> dict[str, str]:
    """Variables that are wrong in the named way, for the servers of the stack."""
    port = stack.mongodb_uri.split(":")[2].partition("/")[0]
    return {
        "four fields": {"SCAN_CRON": "* * * *"},
        "the server's refusal": {"SCAN_CRON": "@every soon"},
        "no such namespace": {"TEMPORAL_NAMESPACE": "no-such-namespace"},
        "no port": {"TEMPORAL_ADDRESS": "temporal"},
        "no such host": {"TEMPORAL_ADDRESS": "no-such-host.invalid:7233"},
        "tls to a plain port": {"TEMPORAL_TLS": "true"},
        "no such mongodb host": {"MONGODB_URI": "mongodb://no-such-host.invalid/?replicaSet=rs0"},
        "another replica set": {"MONGODB_URI": f"mongodb://127.0.0.1:{port}/?replicaSet=other"},
        "mongodb tls to a plain port": {"MONGODB_URI": f"{stack.mongodb_uri}&tls=true"},
        "no name of a database": {"MONGODB_DATABASE": "my.db"},
    }[wanted]


@pytest.mark.parametrize(
    ("wrong", "field", "check"),
    [
        ("four fields", "scan.cron (SCAN_CRON)", "settings"),
        ("no such namespace", "temporal.namespace (TEMPORAL_NAMESPACE)", "temporal"),
        ("no port", "temporal.address (TEMPORAL_ADDRESS)", "settings"),
        ("no such host", "temporal.address (TEMPORAL_ADDRESS)", "temporal"),
        ("tls to a plain port", "temporal.tls.enabled (TEMPORAL_TLS)", "temporal"),
        ("no such mongodb host", "mongodb.uri (MONGODB_URI)", "mongodb"),
        ("another replica set", "mongodb.uri (MONGODB_URI)", "mongodb"),
        ("mongodb tls to a plain port", "mongodb.uri (MONGODB_URI)", "mongodb"),
        ("no name of a database", "mongodb.database (MONGODB_DATABASE)", "settings"),
    ],
)
def test_a_wrong_setting_has_a_code_of_its_own_and_a_doctor_finds_it(
    notifications: CommandLine, stack: LocalStack, wrong: str, field: str, check: str
) -> None:
    command = notifications.using(**of(stack, wrong))
    worker = command.run(*WORKER)
    assert worker.code == MISCONFIGURED, worker
    assert f"error: {field}: " in worker.errors
    examined = command.run("doctor", "--json")
    assert examined.code == A_CHECK_FAILED
    found = {each["check"]: each for each in examined.document["checks"] if not each["ok"]}
    assert field in found[check]["detail"]
    assert found[check]["remedy"]


def test_the_servers_word_on_an_expression_is_the_commands(
    notifications: CommandLine, stack: LocalStack
) -> None:
    ended = notifications.using(**of(stack, "the server's refusal")).run("bootstrap", "--json")
    assert (ended.code, ended.error["field"]) == (MISCONFIGURED, "scan.cron")
    assert "Invalid schedule spec" in ended.error["reason"]


@pytest.mark.parametrize(
    ("variables", "field"),
    [
        ({"MONGODB_URI": f"mongodb://{NOWHERE}/?replicaSet=rs0"}, "mongodb.uri (MONGODB_URI)"),
        ({"TEMPORAL_ADDRESS": NOWHERE}, "temporal.address (TEMPORAL_ADDRESS)"),
    ],
)
def test_a_server_that_is_away_keeps_its_code_and_is_named(
    notifications: CommandLine, variables: dict[str, str], field: str
) -> None:
    ended = notifications.using(**variables).run(*WORKER)
    assert ended.code == UNAVAILABLE
    assert f"error: {field}: " in ended.errors


def test_a_caller_goes_on_without_a_temporal_whose_host_is_not_known_yet(
    notifications: CommandLine, stack: LocalStack
) -> None:
    caller = notifications.using(**of(stack, "no such host"))
    message = ("--account", "a", "--title", "Hello", "--body", "You")
    ended = caller.run("send", *message, "--immediate", "--expires-in", "10m", "--json")
    assert ended.code == UNAVAILABLE
    kept = notifications.json("show", ended.error["notification_id"])
    assert kept["status"] == "pending"
    assert kept["expires_at"] is not None


def test_a_campaign_that_a_setting_keeps_from_starting_is_kept_and_names_the_setting(
    notifications: CommandLine, stack: LocalStack
) -> None:
    operator = notifications.using(**of(stack, "no such namespace"))
    message = ("--topic", "news", "--title", "Hello", "--body", "You")
    ended = operator.run("campaign", "send", "--key", "kept", *message, "--json")
    assert (ended.code, ended.error["code"]) == (MISCONFIGURED, "temporal_misconfigured")
    assert ended.error["field"] == "temporal.namespace"
    kept = notifications.json("campaign", "show", ended.error["campaign_id"])
    assert kept["state"] == "collecting"


def test_several_processes_end_with_the_code_of_the_one_that_could_not_start(
    notifications: CommandLine, stack: LocalStack
) -> None:
    ended = notifications.using(**of(stack, "no such namespace")).run("worker", "--processes", "2")
    assert ended.code == MISCONFIGURED
    assert "temporal.namespace (TEMPORAL_NAMESPACE)" in ended.errors


def test_a_line_end_behind_a_secret_makes_no_second_database(
    notifications: CommandLine, stack: LocalStack
) -> None:
    with MongoClient[dict[str, object]](stack.mongodb_uri) as client:
        before = set(client.list_database_names())
        bootstrapped = notifications.json("bootstrap")
        again = notifications.using(
            MONGODB_DATABASE=f"{bootstrapped['database']}\n", MONGODB_URI=f"{stack.mongodb_uri}\n"
        ).json("bootstrap")
        assert again["database"] == bootstrapped["database"]
        assert set(client.list_database_names()) == before


def test_users_of_mongodb_have_the_rights_that_the_operating_guide_says(
    notifications: CommandLine, stack: LocalStack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with guarded_mongodb(tmp_path_factory.mktemp("guarded")) as guarded:
        full = guarded.add_user("full", own=("readWrite", "dbAdmin"))
        plain = guarded.add_user("plain", own=("readWrite",))
        own = notifications.using(MONGODB_DATABASE="own")
        assert own.using(MONGODB_URI=full).json("bootstrap")["bootstrap"] == "ok"
        assert own.using(MONGODB_URI=plain).json("list", "--account", "a")["notifications"] == []
        examined = own.using(MONGODB_URI=plain).run("doctor", "--json")
        assert examined.document["ok"], examined.output
        wrong = own.using(MONGODB_URI=plain.replace(PASSWORD, "another")).run(*WORKER)
        assert wrong.code == MISCONFIGURED
        assert "mongodb.uri (MONGODB_URI)" in wrong.errors
        with MongoClient[dict[str, object]](full) as client:
            client["own"]["accounts"].drop()
            client["own"].create_collection("accounts")
        behind = own.using(MONGODB_URI=plain).run(*WORKER)
        assert behind.code == MISCONFIGURED
        assert "notifications bootstrap" in behind.errors

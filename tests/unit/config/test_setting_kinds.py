"""Values that would end in a strange place are refused at load, and named with the variable to mend."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.application.errors import ConfigurationError
from modules.application.setting_names import named_setting
from modules.config.config_service import ConfigService
from modules.config.types import Settings

SPACES = st.text(" \t\r\n", max_size=3)
TLS = {"TEMPORAL_TLS": "true"}


def load(**variables: str) -> Settings:
    return ConfigService.load({"APP_ENV": "test", **variables})


def refused(**variables: str) -> list[str | None]:
    """The settings that are named."""
    with pytest.raises(ConfigurationError) as error:
        load(**variables)
    assert all(problem.reason for problem in error.value.problems)
    return [problem.field for problem in error.value.problems]


@given(before=SPACES, after=SPACES)
def test_spaces_and_line_ends_around_a_variable_are_not_meant(before: str, after: str) -> None:
    """A file that holds a secret ends in a newline; it made a second database, "notifications\\n"."""
    given = {
        "APP_ENV": "test",
        "MONGODB_DATABASE": "own",
        "MONGODB_URI": "mongodb://user:secret@host/?replicaSet=rs0",
        "TEMPORAL_ADDRESS": "host:7233",
        "TEMPORAL_API_KEY": "key",
        "TEMPORAL_TLS": "true",
        "FCM_CREDENTIALS_PATH": "/run/a.json",
        "FCM_APPS": '{"shop": {"credentials_path": "/run/b.json"}}',
        "DELIVERY_LEASE_SECONDS": "12",
        "LOG_LEVEL": "info",
        "METRICS_PORT": "",
    }
    padded = {name: f"{before}{value}{after}" for name, value in given.items()}
    assert ConfigService.load(padded) == ConfigService.load(given)


@pytest.mark.parametrize(
    "name",
    [
        "my.db",
        "a b",
        "a\nb",
        "a/b",
        "a\\b",
        'a"b',
        "$a",
        "a*b",
        "n" * 64,
        "é" * 32,
        "admin",
        "local",
        "config",
    ],
)
def test_a_name_that_mongodb_takes_for_no_database_is_refused(name: str) -> None:
    assert refused(MONGODB_DATABASE=name) == ["mongodb.database"]


@pytest.mark.parametrize("name", ["notifications", "own-data_2", "n" * 63, "é" * 31])
def test_a_name_that_mongodb_takes_is_taken(name: str) -> None:
    assert load(MONGODB_DATABASE=name).mongodb.database == name


# What a real server answers to each is in tests/integration/application/test_temporal_settings.py.
@pytest.mark.parametrize(
    "expression",
    [
        "*/5 * * * *",
        "*/5 * * * * *",
        "* * * * * * 2027",
        "1,2,3-5/2 0-23/4 1-15 jan-MAR Mon-FRI",
        "@hourly",
        "@every 5m",
        "@every 1h/20m",
        "CRON_TZ=Europe/Berlin 0 3 * * *",
        "TZ=UTC @daily",
        "0 3 * * * # at night",
        "0 3 * * 7",
        "0 3 * * mond",
        "0 0 1 1 Monday",
    ],
)
def test_what_temporal_takes_for_a_cron_expression_is_taken(expression: str) -> None:
    assert load(SCAN_CRON=expression).scan.cron == expression


@pytest.mark.parametrize(
    "expression",
    [
        *("* * * *", "nonsense", "* * * * * * * *", "@reboot", "@Hourly", "@every", "# nothing"),
        *("*/5;* * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 8"),
        *(
            "5-1 * * * *",
            "*/0 * * * *",
            "? * * * *",
            "L * * * *",
            "* * * ja *",
            "* * * * montag",
            ", * * * *",
        ),
        *("60 * * * * * *", "* * * * * nineteen"),
    ],
)
def test_what_is_no_cron_expression_is_refused(expression: str) -> None:
    assert refused(SCAN_CRON=expression) == ["scan.cron"]


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "-inf", "1e300", "0.0001", "soon"])
@pytest.mark.parametrize(
    ("variable", "field"),
    [
        ("MONGODB_SERVER_SELECTION_TIMEOUT_SECONDS", "mongodb.server_selection_timeout_seconds"),
        ("MONGODB_OPERATION_TIMEOUT_SECONDS", "mongodb.operation_timeout_seconds"),
        ("TEMPORAL_CONNECT_TIMEOUT_SECONDS", "temporal.connect_timeout_seconds"),
        ("TEMPORAL_WORKFLOW_TASK_TIMEOUT_SECONDS", "temporal.workflow_task_timeout_seconds"),
        ("FCM_CONNECT_TIMEOUT_SECONDS", "fcm.connect_timeout_seconds"),
        ("FCM_REQUEST_TIMEOUT_SECONDS", "fcm.request_timeout_seconds"),
        ("DELIVERY_LEASE_SECONDS", "delivery.lease_seconds"),
        ("DELIVERY_MAX_BACKOFF_SECONDS", "delivery.max_backoff_seconds"),
        ("DELIVERY_IMMEDIATE_MAX_BACKOFF_SECONDS", "delivery.immediate_max_backoff_seconds"),
        ("DELIVERY_BREAKER_COOLDOWN_SECONDS", "delivery.breaker_cooldown_seconds"),
        ("IMMEDIATE_WAIT_SECONDS", "immediate.wait_seconds"),
        ("WORKER_GRACEFUL_SHUTDOWN_SECONDS", "worker.graceful_shutdown_seconds"),
    ],
)
def test_no_time_is_nothing_or_for_ever(variable: str, field: str, seconds: str) -> None:
    assert refused(**{variable: seconds}) == [field]


@pytest.mark.parametrize("days", ["0", "nan", "inf", "1e-9", "24856"])
@pytest.mark.parametrize(
    ("variable", "field"),
    [
        ("RETENTION_FINISHED_DAYS", "retention.finished_days"),
        ("RETENTION_INACTIVE_DEVICES_DAYS", "retention.inactive_devices_days"),
    ],
)
def test_days_fit_the_seconds_of_an_index(variable: str, field: str, days: str) -> None:
    assert refused(**{variable: days}) == [field]


@pytest.mark.parametrize(
    ("variables", "field"),
    [
        ({"MONGODB_URI": "localhost:27017"}, "mongodb.uri"),
        ({"MONGODB_URI": "mongodb://a b/?replicaSet=rs0"}, "mongodb.uri"),
        ({"MONGODB_URI": "mongodb://"}, "mongodb.uri"),
        ({"TEMPORAL_ADDRESS": "temporal"}, "temporal.address"),
        ({"TEMPORAL_ADDRESS": "http://temporal:7233"}, "temporal.address"),
        ({"TEMPORAL_ADDRESS": "temporal:0"}, "temporal.address"),
        ({"TEMPORAL_ADDRESS": "temporal:72330"}, "temporal.address"),
        ({"TEMPORAL_NAMESPACE": "two words"}, "temporal.namespace"),
        ({"TEMPORAL_TASK_QUEUE_PREFIX": "two words"}, "temporal.task_queue_prefix"),
        ({"TEMPORAL_TASK_QUEUE_PREFIX": "p" * 201}, "temporal.task_queue_prefix"),
        ({"TEMPORAL_API_KEY": "two words", **TLS}, "temporal.api_key"),
        ({"TEMPORAL_API_KEY": "key"}, "temporal.api_key"),
        ({"TEMPORAL_TLS_CA_FILE": "/run/ca.pem"}, "temporal.tls.ca_file"),
        ({"TEMPORAL_TLS_CERT_FILE": "/run/cert.pem", **TLS}, "temporal.tls.key_file"),
        ({"TEMPORAL_TLS_KEY_FILE": "/run/key.pem", **TLS}, "temporal.tls.cert_file"),
        ({"TEMPORAL_TLS": "perhaps"}, "temporal.tls.enabled"),
        ({"TEMPORAL_UI_URL": "temporal:8080"}, "temporal.ui_url"),
        ({"TEMPORAL_UI_URL": "https://"}, "temporal.ui_url"),
        ({"FCM_ENDPOINT": "https://fcm.googleapis.com/v1"}, "fcm.endpoint"),
        ({"FCM_ENDPOINT": "https://user:xyzzy@host"}, "fcm.endpoint"),
        ({"FCM_ENDPOINT": "https://host:70000"}, "fcm.endpoint"),
        ({"FCM_PROJECT_ID": "two words"}, "fcm.project_id"),
        ({"FCM_MAX_CONCURRENT_REQUESTS": "1000000"}, "fcm.max_concurrent_requests"),
        ({"FCM_APPS": '{"two words": {"credentials_path": "/run/a"}}'}, "fcm.apps"),
        ({"FCM_APPS": '{"": {"credentials_path": "/run/a"}}'}, "fcm.apps"),
        ({"FCM_APPS": '{"a": {"credentials_path": "/run/a\\u0000"}}'}, "fcm.apps.a.credentials_path"),
        ({"FCM_APPS": '{"a": {"credentials_path": "/a"}, "a": {"credentials_path": "/b"}}'}, "FCM_APPS"),
        ({"FCM_APPS": '{"a": ' * 100_000}, "FCM_APPS"),
        ({"FCM_APPS": "shop=/run/a"}, "fcm.apps"),
        (
            {"FCM_APPS": '{"default": {"credentials_path": "/a"}}', "FCM_CREDENTIALS_PATH": "/b"},
            "fcm.apps",
        ),
        ({"RATE_QUOTA_PER_MINUTE": "0"}, "rate.quota_per_minute"),
        ({"RATE_RAMP_SECONDS": "nan"}, "rate.ramp_seconds"),
        ({"RATE_IMMEDIATE_SHARE": "nan"}, "rate.immediate_share"),
        ({"SCAN_BATCH_THRESHOLD": "1e12"}, "scan.batch_threshold"),
        ({"WORKER_MAX_CONCURRENT_DELIVERIES": "100000"}, "worker.max_concurrent_deliveries"),
        ({"METRICS_HOST": "two words"}, "metrics.host"),
        ({"METRICS_PORT": "0"}, "metrics.port"),
        ({"LOG_FORMAT": "xml"}, "logging.format"),
    ],
)
def test_what_would_end_in_a_strange_place_is_refused(variables: dict[str, str], field: str) -> None:
    assert refused(**variables) == [field]


@pytest.mark.parametrize(
    ("variables", "address"),
    [({"TEMPORAL_ADDRESS": "[::1]:7233"}, "[::1]:7233"), ({"TEMPORAL_ADDRESS": "a-b.c_d:1"}, "a-b.c_d:1")],
)
def test_addresses_that_exist_are_taken(variables: dict[str, str], address: str) -> None:
    assert load(**variables).temporal.address == address


def test_a_level_and_a_format_are_read_in_any_letters() -> None:
    logging = load(LOG_LEVEL="warning", LOG_FORMAT="JSON").logging
    assert (logging.level, logging.format) == ("WARNING", "json")


def test_a_wrong_setting_is_said_with_the_variable_to_mend() -> None:
    with pytest.raises(ConfigurationError) as error:
        load(SCAN_CRON="* * * *")
    assert str(error.value).startswith("invalid_setting: scan.cron (SCAN_CRON): must be a cron expression")
    with pytest.raises(ConfigurationError) as error:
        load(SCAN_CRON="* * * *", METRICS_PORT="0")
    assert "scan.cron (SCAN_CRON): " in str(error.value)
    assert "metrics.port (METRICS_PORT): " in str(error.value)


def test_what_lies_below_a_variable_is_said_with_it_and_what_has_none_without() -> None:
    assert named_setting("fcm.apps.shop.credentials_path") == "fcm.apps.shop.credentials_path (FCM_APPS)"
    assert named_setting("temporal.tls.enabled") == "temporal.tls.enabled (TEMPORAL_TLS)"
    assert named_setting("one_time_password.digits") == "one_time_password.digits"
    assert named_setting("title") == "title"

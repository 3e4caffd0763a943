"""Logs: one readable line an event, and nothing secret in any of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import structlog

from modules.config.types import LoggingSettings
from modules.logger.logger_service import LOGGER_NAME, REDACTED, LoggerService, get_logger, redact
from tests.support.process_logs import logging_as_before


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    with logging_as_before():
        yield


def configure(
    level: Literal["DEBUG", "INFO", "WARNING"] = "INFO", form: Literal["json", "console"] = "json"
) -> None:
    LoggerService.configure(LoggingSettings(level=level, format=form))


def redacted(**event: Any) -> Any:
    return redact(None, "", event)


def test_an_event_is_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    get_logger().info("sent", action="push.sent", notification_id="1")
    (line,) = capsys.readouterr().err.splitlines()
    event = json.loads(line)
    assert event.pop("timestamp").endswith("Z")
    assert event == {"event": "sent", "action": "push.sent", "notification_id": "1", "level": "info"}


def test_configuring_again_writes_each_event_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    configure()
    get_logger().info("once")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure("WARNING")
    get_logger().info("quiet")
    get_logger().warning("loud")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["loud"]


def test_the_console_has_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    configure(form="console")
    get_logger().info("sent", action="push.sent")
    text = capsys.readouterr().err
    assert "push.sent" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    "key",
    [
        "token",
        "device_token",
        "address",
        "title",
        "body",
        "data",
        "password",
        "api_key",
        "mongodb_uri",
        "Authorization",
    ],
)
def test_values_under_telling_keys_are_redacted_at_any_depth(key: str) -> None:
    assert redacted(**{key: "xyzzy"}) == {key: REDACTED}
    assert "xyzzy" not in str(redacted(outer={"inner": {key: "xyzzy"}}, several=[{key: "xyzzy"}]))


@pytest.mark.parametrize(
    "value",
    [
        "cannot reach mongodb://user:xyzzy@host:27017/db?x=1",
        ["mongodb+srv://user:xyzzy@host"],
        ("https://user:xyzzy@proxy",),
        {"reason": "amqp://user:xyzzy@host"},
    ],
    ids=["text", "list", "tuple", "mapping"],
)
def test_passwords_inside_addresses_are_redacted(value: Any) -> None:
    assert "xyzzy" not in str(redacted(reason=value))


def test_what_is_no_secret_stays() -> None:
    event = {"action": "push.sent", "notification_id": "1", "rows": 3, "code": "UNREGISTERED", "codes": ["A"]}
    assert redacted(**event) == event


def test_the_driver_cannot_log_commands_whatever_the_level() -> None:
    configure("DEBUG")
    assert not logging.getLogger("pymongo.command").isEnabledFor(logging.DEBUG)
    assert not logging.getLogger("temporalio.activity").isEnabledFor(logging.WARNING)


class Heard(logging.Handler):
    """A host's own handler."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def heard() -> Iterator[Heard]:
    handler = Heard()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def test_a_host_hears_our_records_through_its_own_handlers(heard: Heard) -> None:
    get_logger().warning("not sent\nto 100% of", action="push.failed", rows=3, device_token="xyzzy")
    [record] = heard.records
    assert (record.name, record.levelname) == (LOGGER_NAME, "WARNING")
    assert record.getMessage() == "not sent\\nto 100% of action=push.failed rows=3 device_token=[redacted]"
    assert record.__dict__["fields"]["rows"] == 3
    assert record.filename == "test_logger_service.py", "the one that logged, not the library in between"
    assert "xyzzy" not in str(record.__dict__)


def test_the_level_is_the_hosts(heard: Heard) -> None:
    logging.getLogger(LOGGER_NAME).setLevel(logging.ERROR)
    get_logger().warning("quiet", action="push.failed")
    logging.getLogger(LOGGER_NAME).setLevel(logging.DEBUG)
    get_logger().debug("heard", action="push.failed")
    assert [record.getMessage() for record in heard.records] == ["heard action=push.failed"]


def test_what_a_host_configured_for_structlog_is_neither_used_nor_changed(heard: Heard) -> None:
    seen: list[Any] = []

    def see(_: Any, __: str, event: Any) -> Any:
        seen.append(event)
        return event

    structlog.configure(processors=[see])
    before = structlog.get_config()
    try:
        get_logger().warning("ours", action="push.failed", token="xyzzy")
        assert structlog.get_config() == before
    finally:
        structlog.reset_defaults()
    assert seen == []
    assert [record.getMessage() for record in heard.records] == ["ours action=push.failed token=[redacted]"]

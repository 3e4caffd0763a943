"""Logs that never carry a secret or a message's content, written to the service's own logger alone."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any

import structlog
from structlog.stdlib import BoundLogger

from modules.config.types import LoggingSettings

LOGGER_NAME = "notification_service"
REDACTED = "[redacted]"
# What a record carries beside its text: the event's own fields, redacted.
_FIELDS = "fields"
# From logging's method back to who called it: two functions of structlog's that hand on, one that is called.
_FRAMES_OF_STRUCTLOG = 4
_SECRET_KEY = re.compile(
    r"token|address|title|body|data|payload|secret|password|credential|api_key|authorization|uri|code_text",
    re.IGNORECASE,
)
_URI_WITH_PASSWORD = re.compile(r"(\w+://)[^\s/@]+@")
_as_text = structlog.processors.LogfmtRenderer()


class LoggerService:
    """What a process of the service's own does with logs. A host that only calls the service never does."""

    @staticmethod
    def configure(settings: LoggingSettings) -> None:
        """Write one JSON object, or one console line, an event to standard error; safe to call again.

        Sets up the process: for commands and workers. The driver's and the SDK's loggers are held back.
        """
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_LineFormatter(settings))
        logger = logging.getLogger(LOGGER_NAME)
        logger.handlers[:] = [handler]
        logger.setLevel(settings.level)
        logger.propagate = False
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING, force=True)
        # At DEBUG the driver logs whole commands, device tokens included (pymongo, "Logging").
        logging.getLogger("pymongo").setLevel(logging.WARNING)
        # An activity's failure is in our own log already, with its action.
        logging.getLogger("temporalio").setLevel(logging.ERROR)


def get_logger() -> BoundLogger:
    """A structlog logger that ends in the standard library's logger LOGGER_NAME; configures nothing.

    A record's text is the event with its fields as `key=value`; `record.fields` holds the same as a mapping.
    Both are redacted, whatever the host has configured for structlog or logging.
    """
    logger: BoundLogger = structlog.wrap_logger(
        logging.getLogger(LOGGER_NAME),
        processors=[structlog.stdlib.filter_by_level, redact, _as_record],
        wrapper_class=BoundLogger,
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    return logger


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Replace values under telling keys, and passwords inside URIs, at any depth."""
    return {key: _clean(key, value) for key, value in event.items()}


def _clean(key: str, value: Any) -> Any:
    if _SECRET_KEY.search(key):
        return REDACTED
    if isinstance(value, Mapping):
        return {inner: _clean(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", item) for item in value]
    if isinstance(value, str):
        return _URI_WITH_PASSWORD.sub(rf"\1{REDACTED}@", value)
    return value


def _as_record(_: Any, name: str, event: Mapping[str, Any]) -> tuple[tuple[str, str], dict[str, Any]]:
    fields = {key: value for key, value in event.items() if key != "event"}
    said = str(event["event"]).replace("\n", "\\n")
    text = f"{said} {_as_text(None, name, fields)}".rstrip()
    # As an argument: the text is no format, whatever stands in it.
    return ("%s", text), {"extra": {_FIELDS: event}, "stacklevel": _FRAMES_OF_STRUCTLOG}


class _LineFormatter(logging.Formatter):
    def __init__(self, settings: LoggingSettings) -> None:
        super().__init__()
        self._render: Any = (
            structlog.processors.JSONRenderer()
            if settings.format == "json"
            else structlog.dev.ConsoleRenderer(colors=False)
        )

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        event = {
            **getattr(record, _FIELDS),
            "level": record.levelname.lower(),
            "timestamp": moment.isoformat().replace("+00:00", "Z"),
        }
        return str(self._render(None, record.levelname.lower(), event))

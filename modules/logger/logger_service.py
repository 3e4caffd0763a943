"""Sets up structured logs that never carry a secret or a message's content."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from modules.config.types import LoggingSettings

_SECRET_KEY = re.compile(
    r"token|address|title|body|data|payload|secret|password|credential|api_key|authorization|uri|code_text",
    re.IGNORECASE,
)
_URI_WITH_PASSWORD = re.compile(r"(\w+://)[^\s/@]+@")
REDACTED = "[redacted]"


class LoggerService:
    """Process-wide logging: one JSON object (or one console line) an event, on standard error."""

    @staticmethod
    def configure(settings: LoggingSettings) -> None:
        """Set level and format; safe to call again."""
        renderer: Any = (
            structlog.processors.JSONRenderer()
            if settings.format == "json"
            else structlog.dev.ConsoleRenderer(colors=False)
        )
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                redact,
                renderer,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.level)),
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
            cache_logger_on_first_use=False,
        )
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING, force=True)
        # At DEBUG the driver logs whole commands, device tokens included (pymongo, "Logging").
        logging.getLogger("pymongo").setLevel(logging.WARNING)
        # An activity's failure is logged by us without its content; the SDK would print the exception's text.
        logging.getLogger("temporalio").setLevel(logging.ERROR)


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

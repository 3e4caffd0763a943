"""What the service logs in a test's own process, and how that process's logging was before."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from modules.logger.logger_service import LOGGER_NAME

_CONFIGURED = (None, LOGGER_NAME, "pymongo", "temporalio")


@contextmanager
def capture_logs() -> Iterator[list[dict[str, Any]]]:
    """The service's log events as they come, each with `event`, its fields and `log_level`."""
    events: list[dict[str, Any]] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            events.append({**record.__dict__["fields"], "log_level": record.levelname.lower()})

    logger, collector = logging.getLogger(LOGGER_NAME), Collector()
    with logging_as_before():
        logger.addHandler(collector)
        logger.setLevel(logging.DEBUG)
        yield events


@contextmanager
def logging_as_before() -> Iterator[None]:
    """Undo afterwards what the block did to the loggers that a command sets up."""
    loggers = [logging.getLogger(name) for name in _CONFIGURED]
    states = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    try:
        yield
    finally:
        for logger, (handlers, level, propagate) in zip(loggers, states, strict=True):
            logger.handlers[:] = handlers
            logger.setLevel(level)
            logger.propagate = propagate

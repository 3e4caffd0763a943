"""Opens the application for the length of one command."""

# ruff: noqa: PLC0415 - what is slow to import waits until a command needs it

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from bootstrap import Application
    from modules.config.types import Settings


@contextmanager
def application(role: Literal["operator", "caller"] = "operator") -> Iterator[Application]:
    """The bootstrapped application, closed when the command is done; raises ServiceError.

    Only a command that sends at once is a caller, which serves a task queue for as long as it lives.
    """
    from bootstrap import Role, bootstrap
    from modules.config.config_service import ConfigService
    from modules.logger.logger_service import LoggerService

    settings = quiet(ConfigService.load())
    LoggerService.configure(settings.logging)
    opened = bootstrap(settings, role=Role(role))
    try:
        yield opened
    finally:
        opened.close()


def quiet(settings: Settings) -> Settings:
    """The settings with less to log: standard error belongs to a command's own lines."""
    if settings.logging.level == "DEBUG":
        return settings
    logging = settings.logging.model_copy(update={"level": "ERROR"})
    return settings.model_copy(update={"logging": logging})

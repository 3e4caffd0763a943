"""What a command's exit code says; no other codes exist, save 128 plus a signal's number."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from modules.application.errors import (
    ConfigurationError,
    InvalidInputError,
    Problem,
    ServiceError,
    UnavailableError,
)
from modules.notification.errors import StartDeferredError


class ExitCode(IntEnum):
    """0 done, 1 refused or a failed check, 2 wrong usage, 3 a server is out of reach, 70 a fault of ours.

    78 says that a setting, or a file it names, has to be mended, which no later try will do. 70 and 78 are
    EX_SOFTWARE and EX_CONFIG of sysexits.h, 130 and 141 are 128 plus SIGINT and SIGPIPE.
    """

    OK = 0
    REFUSED = 1
    USAGE = 2
    UNAVAILABLE = 3
    UNEXPECTED = 70
    MISCONFIGURED = 78
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class UsageProblemsError(InvalidInputError):
    """Values on the command line that cannot be read; nothing was asked of the service."""


class ChildFailedError(ServiceError):
    """A process that the command started refused to go on; the command ends as that process did."""

    def __init__(self, exit_code: int, problems: Sequence[Problem]) -> None:
        first = problems[0]
        super().__init__(code=first.code, reason=first.reason, field=first.field, problems=problems)
        self.exit_code = exit_code


def exit_code_for(error: ServiceError) -> int:
    """The exit code of a command that ends with this error."""
    if isinstance(error, ChildFailedError):
        return error.exit_code
    if isinstance(error, UsageProblemsError):
        return ExitCode.USAGE
    if isinstance(error, ConfigurationError):
        return ExitCode.MISCONFIGURED
    if isinstance(error, StartDeferredError) and error.has_to_be_mended:
        return ExitCode.MISCONFIGURED
    return ExitCode.UNAVAILABLE if isinstance(error, UnavailableError) else ExitCode.REFUSED

"""The one error family of the service: every refusal carries a code, a field and a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modules.application.setting_names import named_setting


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an input: a stable code, the field's path, and a reason for a person."""

    code: str
    field: str | None
    reason: str


class ServiceError(Exception):
    """Base of all errors raised by services.

    `code` is stable and machine-readable, `field` is the path of the offending input or None, `reason` is
    for people and never carries a token, title, body or credential. `problems` lists every failure found.
    """

    def __init__(
        self, *, code: str, reason: str, field: str | None = None, problems: Sequence[Problem] = ()
    ) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.field = field
        self.reason = reason
        self.problems: tuple[Problem, ...] = tuple(problems) or (Problem(code, field, reason),)


class InvalidInputError(ServiceError):
    """An input was refused; nothing was written. `problems` holds all failures, the first one is repeated."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        first = problems[0]
        reason = "; ".join(f"{problem.field}: {problem.reason}" for problem in problems)
        super().__init__(code=first.code, reason=reason, field=first.field, problems=problems)


class NotFoundError(ServiceError):
    """The thing asked for does not exist."""


class ConflictError(ServiceError):
    """The request contradicts what is recorded."""


class UnavailableError(ServiceError):
    """A server this service depends on cannot be reached; trying again later is right.

    `may_have_happened` says of a write that it may have been applied all the same.
    """

    def __init__(
        self,
        *,
        code: str,
        reason: str,
        field: str | None = None,
        problems: Sequence[Problem] = (),
        may_have_happened: bool = False,
    ) -> None:
        super().__init__(code=code, reason=reason, field=field, problems=problems)
        self.may_have_happened = may_have_happened


class ConfigurationError(ServiceError):
    """The settings, or a file they name, cannot be used; an operator has to act.

    `field` is the setting's name as config/default.yml has it; the message names its variable as well.
    """

    def __init__(
        self, *, code: str, reason: str, field: str | None = None, problems: Sequence[Problem] = ()
    ) -> None:
        super().__init__(code=code, reason=reason, field=field, problems=problems)
        if field is not None and len(self.problems) == 1:
            self.args = (f"{code}: {named_setting(field)}: {reason}",)


class HostUnknownError(ConfigurationError):
    """No such host exists, as far as this one can resolve names; its name may yet come to be known."""


class StoreError(ServiceError):
    """MongoDB refused an operation for good. Its own words quote refused values and are left out.

    `reason` names the server's numeric error code (src/mongo/base/error_codes.yml).
    """

    def __init__(self, server_code: int | None) -> None:
        super().__init__(code="store_refused", reason=f"MongoDB refused the operation ({server_code})")
        self.server_code = server_code


class UnreadableRecordError(ServiceError):
    """A stored record is not what this version of the service writes; `fields` are the ones that differ.

    The next version, or the one before, may be able to read it.
    """

    def __init__(self, fields: Sequence[str]) -> None:
        names = ", ".join(fields)
        super().__init__(
            code="record_unreadable", reason=f"this version cannot read the stored record ({names})"
        )
        self.fields = tuple(fields)


class ApplicationClosedError(ServiceError):
    """A call came while the application was being closed in this process, or was cut off by that.

    `may_have_happened` says that it was cut off, and may have been carried out all the same.
    """

    def __init__(self, *, may_have_happened: bool = False) -> None:
        doubt = " before the call had ended, which may have been carried out" if may_have_happened else ""
        super().__init__(
            code="application_closed", reason=f"the application in this process was closed{doubt}"
        )
        self.may_have_happened = may_have_happened


class WouldDeadlockError(ServiceError):
    """A blocking call was made on the service's own event loop, where it would wait for itself."""

    def __init__(self) -> None:
        super().__init__(
            code="would_deadlock", reason="called on the service's own loop; await the async twin"
        )


class ProcessForkedError(ServiceError):
    """What was opened before a fork was used in the child: its threads and connections are the parent's.

    The services' own methods work there: the first call opens the service anew.
    """

    def __init__(self) -> None:
        super().__init__(
            code="process_forked",
            reason="this was opened in the parent process; call the services, or bootstrap, in this one",
        )


class CannotServeHereError(ServiceError):
    """A process that was forked after `bootstrap` was to be a worker; it can only call the services."""

    def __init__(self) -> None:
        super().__init__(
            code="cannot_serve_here",
            reason="a process forked after bootstrap cannot be a worker; start one by its command",
        )


class NotBootstrappedError(ServiceError):
    """A service was called before `bootstrap` had run in this process."""

    def __init__(self) -> None:
        super().__init__(
            code="not_bootstrapped", reason="call bootstrap.bootstrap() once in this process first"
        )

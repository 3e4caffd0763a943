"""Why a one-time password was not accepted; none of these carries a code, an account or a count."""

from __future__ import annotations

from modules.application.errors import NotFoundError, ServiceError


class OneTimePasswordNotFoundError(NotFoundError):
    """No code is waiting for this account and purpose: never sent, used already, or replaced meanwhile."""

    def __init__(self) -> None:
        super().__init__(
            code="one_time_password_not_found", field="code", reason="no code is waiting to be verified"
        )


class OneTimePasswordInvalidError(ServiceError):
    """The code is wrong; one attempt was used."""

    def __init__(self) -> None:
        super().__init__(code="one_time_password_invalid", field="code", reason="the code is wrong")


class OneTimePasswordExpiredError(ServiceError):
    """The code waited for too long, by the database's clock."""

    def __init__(self) -> None:
        super().__init__(code="one_time_password_expired", field="code", reason="the code has expired")


class OneTimePasswordAttemptsExceededError(ServiceError):
    """All attempts were used; even the right code is refused now."""

    def __init__(self) -> None:
        super().__init__(
            code="one_time_password_attempts_exceeded",
            field="code",
            reason="too many wrong codes; ask for a new one",
        )

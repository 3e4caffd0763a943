"""Why a one-time password was not sent or not accepted; none of these carries a code or an account."""

from __future__ import annotations

import math

from modules.application.errors import ConfigurationError, NotFoundError, ServiceError, UnavailableError
from modules.authentication.types import OneTimePasswordTicket


class OneTimePasswordNotFoundError(NotFoundError):
    """No code is waiting under this ticket: it was used or replaced, or is another account's or purpose's."""

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


class OneTimePasswordReissueLimitError(ServiceError):
    """The account was sent a code for this purpose too recently, or too many within the hour.

    Nothing was sent, and the former code stands. `retry_after_seconds`: when the next one may be asked for.
    """

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__(
            code="one_time_password_reissue_limited",
            reason=f"the next code can be sent in {math.ceil(retry_after_seconds)} s",
        )
        self.retry_after_seconds = retry_after_seconds


class OneTimePasswordUnreachableError(ServiceError):
    """Nobody can be told the code: the account has no active device, or none of them took the message.

    The code of this call is void; the former one stands where no message was made. `notification_id` is that
    of the message, None where none was made.
    """

    def __init__(self, reason: str, notification_id: str | None = None) -> None:
        super().__init__(code="one_time_password_unreachable", field="account_id", reason=reason)
        self.notification_id = notification_id


class OneTimePasswordNotConfiguredError(ConfigurationError):
    """No credentials are configured for any app that the account has a device for; `field` is the setting."""

    def __init__(self, setting: str) -> None:
        super().__init__(
            code="fcm_app_unknown",
            field=setting,
            reason=f"no credentials are configured for the account's devices; set {setting}",
        )


class OneTimePasswordDeferredError(UnavailableError):
    """What became of the message is not known yet; it is kept, and sent while the code is valid.

    `ticket` verifies the code, which the person may have or get.
    """

    def __init__(self, ticket: OneTimePasswordTicket) -> None:
        super().__init__(
            code="one_time_password_deferred",
            reason=f"notification {ticket.notification_id} is kept and sent as soon as servers answer again",
        )
        self.ticket = ticket

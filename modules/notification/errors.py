"""What the notification module refuses, and what stands in the way of a provider."""

from __future__ import annotations

from modules.application.errors import (
    ConfigurationError,
    ConflictError,
    HostUnknownError,
    NotFoundError,
    ServiceError,
    UnavailableError,
)


class PushNotificationNotFoundError(NotFoundError):
    """No notification is recorded under this id."""

    def __init__(self) -> None:
        super().__init__(
            code="push_notification_not_found",
            field="notification_id",
            reason="no notification is recorded under this id",
        )


class ProviderConfigurationError(ConfigurationError):
    """A provider's credentials or settings cannot be used as they are; an operator has to act."""


class ProviderRefusedError(ConfigurationError):
    """A provider, or its token server, was reached and says no to our identity or our request."""


class ProviderUnavailableError(UnavailableError):
    """A provider, or its token server, cannot be reached or cannot answer now."""


class IdempotencyKeyConflictError(ConflictError):
    """The account used this idempotency key before for other content; nothing was written or sent."""

    def __init__(self) -> None:
        super().__init__(
            code="idempotency_key_conflict",
            field="idempotency_key",
            reason="this key was used before with other content",
        )


class PushNotificationNotCancellableError(ConflictError):
    """The notification is being sent or is finished."""

    def __init__(self, state: str) -> None:
        super().__init__(
            code="push_notification_not_cancellable",
            field="notification_id",
            reason=f"only a pending notification can be cancelled; this one is {state}",
        )


class StartDeferredError(UnavailableError):
    """Temporal could not be reached at the call, or refused what a setting says: what is kept starts later.

    Where a setting is to be mended before, `has_to_be_mended`, and this has the code and field of `cause`.
    """

    def __init__(self, kept: str, cause: ServiceError | None) -> None:
        code, field, why = "temporal_unavailable", None, "Temporal cannot be reached"
        # A name that is not known yet may come to be.
        self.has_to_be_mended = isinstance(cause, ConfigurationError) and not isinstance(
            cause, HostUnknownError
        )
        if cause is not None and self.has_to_be_mended:
            code, field, why = cause.code, cause.field, cause.reason
        super().__init__(code=code, field=field, reason=f"{why}; {kept}")


class ImmediateSendDeferredError(StartDeferredError):
    """The row is kept and the master worker will deliver it. `notification_id` is the row's id."""

    def __init__(self, notification_id: str, cause: ServiceError | None = None) -> None:
        super().__init__(f"notification {notification_id} is kept and sent later", cause)
        self.notification_id = notification_id


class NotificationUnconfirmedError(UnavailableError):
    """A majority of MongoDB did not confirm the row in time, or before the application was closed.

    It may be stored, and may go out. `notification_id` is its id if it is. A repeat under the same
    idempotency key is safe.
    """

    def __init__(self, notification_id: str) -> None:
        super().__init__(
            code="notification_unconfirmed",
            reason=f"not confirmed in time; notification {notification_id} may be stored and may be sent",
            may_have_happened=True,
        )
        self.notification_id = notification_id


class RateGovernorClosedError(UnavailableError):
    """This process is stopping and hands out no permits to send any more."""

    def __init__(self) -> None:
        super().__init__(code="rate_governor_closed", reason="this process is stopping")

"""Turns an answer into the error firebase-admin would raise, and that into a ServiceError."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from firebase_admin import exceptions, messaging

from modules.application.errors import ServiceError
from modules.notification.errors import ProviderRefusedError, ProviderUnavailableError
from modules.notification.internals.channels.fcm.answer import FailureKind, FcmAnswer, FcmResponse
from modules.notification.internals.channels.fcm.error_body import parse_error_body

# The SDK keeps these tables private; the conformance tests hold ours to them.
_FCM_ERRORS: Mapping[str, Any] = MappingProxyType(
    {
        "APNS_AUTH_ERROR": messaging.ThirdPartyAuthError,
        "QUOTA_EXCEEDED": messaging.QuotaExceededError,
        "SENDER_ID_MISMATCH": messaging.SenderIdMismatchError,
        "THIRD_PARTY_AUTH_ERROR": messaging.ThirdPartyAuthError,
        "UNREGISTERED": messaging.UnregisteredError,
    }
)
_PLATFORM_ERRORS: Mapping[str, Any] = MappingProxyType(
    {
        exceptions.INVALID_ARGUMENT: exceptions.InvalidArgumentError,
        exceptions.FAILED_PRECONDITION: exceptions.FailedPreconditionError,
        exceptions.OUT_OF_RANGE: exceptions.OutOfRangeError,
        exceptions.UNAUTHENTICATED: exceptions.UnauthenticatedError,
        exceptions.PERMISSION_DENIED: exceptions.PermissionDeniedError,
        exceptions.NOT_FOUND: exceptions.NotFoundError,
        exceptions.ABORTED: exceptions.AbortedError,
        exceptions.ALREADY_EXISTS: exceptions.AlreadyExistsError,
        exceptions.CONFLICT: exceptions.ConflictError,
        exceptions.RESOURCE_EXHAUSTED: exceptions.ResourceExhaustedError,
        exceptions.CANCELLED: exceptions.CancelledError,
        exceptions.DATA_LOSS: exceptions.DataLossError,
        exceptions.UNKNOWN: exceptions.UnknownError,
        exceptions.INTERNAL: exceptions.InternalError,
        exceptions.UNAVAILABLE: exceptions.UnavailableError,
        exceptions.DEADLINE_EXCEEDED: exceptions.DeadlineExceededError,
    }
)
_STATUS_CODES: Mapping[int, str] = MappingProxyType(
    {
        400: exceptions.INVALID_ARGUMENT,
        401: exceptions.UNAUTHENTICATED,
        403: exceptions.PERMISSION_DENIED,
        404: exceptions.NOT_FOUND,
        409: exceptions.CONFLICT,
        412: exceptions.FAILED_PRECONDITION,
        429: exceptions.RESOURCE_EXHAUSTED,
        500: exceptions.INTERNAL,
        503: exceptions.UNAVAILABLE,
    }
)
_TIMEOUTS = frozenset({FailureKind.TIMEOUT})
_REFUSALS = (
    exceptions.InvalidArgumentError,
    exceptions.FailedPreconditionError,
    exceptions.OutOfRangeError,
    exceptions.UnauthenticatedError,
    exceptions.PermissionDeniedError,
    exceptions.NotFoundError,
)


def firebase_error_for(answer: FcmAnswer) -> exceptions.FirebaseError:
    """What firebase-admin would raise for an answer that is no success: the same class and code.

    Its message is ours: FCM's repeats values of the request, and the SDK's the whole body.
    """
    if not isinstance(answer, FcmResponse):
        error = exceptions.DeadlineExceededError if answer.kind in _TIMEOUTS else exceptions.UnavailableError
        return error(message=f"no answer from FCM: {answer.kind}")
    body = parse_error_body(answer.body)
    message = f"FCM answered HTTP {answer.status} {body.fcm_code or body.status}".rstrip()
    if body.fcm_code in _FCM_ERRORS:
        return _FCM_ERRORS[body.fcm_code](message=message)
    code = body.status or _STATUS_CODES.get(answer.status, exceptions.UNKNOWN)
    return _PLATFORM_ERRORS.get(code, exceptions.UnknownError)(message=message)


def service_error_for(error: exceptions.FirebaseError, *, reason: str) -> ServiceError:
    """Our error for a FirebaseError: refused when asking again is useless, unavailable otherwise."""
    kind = ProviderRefusedError if isinstance(error, _REFUSALS) else ProviderUnavailableError
    return kind(code=f"fcm_{error.code.lower()}", reason=reason)

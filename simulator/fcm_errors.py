"""Every error of the real servers in its wire form; the only place that knows what they look like."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from simulator.exchange import HTML_HEADERS, JSON_HEADERS, Answer

FCM_ERROR_TYPE = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST_TYPE = "type.googleapis.com/google.rpc.BadRequest"
QUOTA_FAILURE_TYPE = "type.googleapis.com/google.rpc.QuotaFailure"
ERROR_INFO_TYPE = "type.googleapis.com/google.rpc.ErrorInfo"


@dataclass(frozen=True, slots=True)
class ErrorShape:
    """The parts of a google.rpc.Status; `status` is the name of its google.rpc.Code."""

    http_status: int
    status: str
    message: str


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One entry of a google.rpc.BadRequest."""

    field: str
    description: str


# https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode names the codes and their HTTP statuses
# (none for UNSPECIFIED_ERROR); the texts are those reported in public issues of the Admin SDKs.
FCM_ERRORS = {
    "UNSPECIFIED_ERROR": ErrorShape(500, "UNKNOWN", "Unknown error."),
    "INVALID_ARGUMENT": ErrorShape(400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    "UNREGISTERED": ErrorShape(404, "NOT_FOUND", "Requested entity was not found."),
    "SENDER_ID_MISMATCH": ErrorShape(403, "PERMISSION_DENIED", "SenderId mismatch"),
    "QUOTA_EXCEEDED": ErrorShape(
        429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."
    ),
    "UNAVAILABLE": ErrorShape(503, "UNAVAILABLE", "The service is currently unavailable."),
    "INTERNAL": ErrorShape(500, "INTERNAL", "Internal error encountered."),
    "THIRD_PARTY_AUTH_ERROR": ErrorShape(401, "UNAUTHENTICATED", "Auth error from APNS or Web Push Service"),
}

QUOTAS = {
    "project": ErrorShape(429, "RESOURCE_EXHAUSTED", "Project quota exceeded."),
    "device": ErrorShape(429, "RESOURCE_EXHAUSTED", "Device message rate exceeded."),
    "topic": ErrorShape(429, "RESOURCE_EXHAUSTED", "Topic quota exceeded."),
}

# What answers before FCM's own code runs: no FcmError says which token is at fault.
GATEWAY_ERRORS = {
    400: ErrorShape(400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ErrorShape(
        401,
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other"
        " valid authentication credential. See"
        " https://developers.google.com/identity/sign-in/web/devconsole-project.",
    ),
    403: ErrorShape(403, "PERMISSION_DENIED", "The caller does not have permission"),
    408: ErrorShape(408, "DEADLINE_EXCEEDED", "The request timed out."),
    409: ErrorShape(409, "ABORTED", "The operation was aborted."),
    413: ErrorShape(413, "INVALID_ARGUMENT", "Request payload size exceeds the limit."),
    429: ErrorShape(
        429,
        "RESOURCE_EXHAUSTED",
        "Quota exceeded for quota metric 'Send requests' and limit 'Send requests per minute' of service"
        " 'fcm.googleapis.com'.",
    ),
    500: ErrorShape(500, "INTERNAL", "Internal error encountered."),
    501: ErrorShape(501, "UNIMPLEMENTED", "Operation is not implemented."),
    503: ErrorShape(503, "UNAVAILABLE", "The service is currently unavailable."),
}

_ERROR_INFO_REASONS = {401: "ACCESS_TOKEN_EXPIRED", 403: "IAM_PERMISSION_DENIED", 429: "RATE_LIMIT_EXCEEDED"}
_CHALLENGE = ("www-authenticate", 'Bearer realm="https://accounts.google.com/", error="invalid_token"')


def fcm_error(
    code: str, *, project: str, kind: str, target: str, quota: str, retry_after_seconds: int | None
) -> Answer:
    """The error that FCM's own code answers, with the detail that the documentation promises for it."""
    shape = FCM_ERRORS[code]
    details: list[dict[str, Any]] = [{"@type": FCM_ERROR_TYPE, "errorCode": code}]
    if code == "QUOTA_EXCEEDED":
        shape = QUOTAS[quota]
        subject = f"project:{project}" if quota == "project" else f"{quota}:{target}"
        violation = {"subject": subject, "description": shape.message}
        details.append({"@type": QUOTA_FAILURE_TYPE, "violations": [violation]})
    if code == "INVALID_ARGUMENT":
        description = "Invalid registration token" if kind in {"token", "fid"} else f"Invalid {kind}"
        details.append(_bad_request([FieldViolation(f"message.{kind}", description)]))
    return _status_answer(shape, details, retry_after_seconds)


def refused_argument(message: str, violations: Iterable[FieldViolation]) -> Answer:
    """400 of a request that could be read but that FCM does not take: BadRequest and FcmError."""
    details = [_bad_request(violations), {"@type": FCM_ERROR_TYPE, "errorCode": "INVALID_ARGUMENT"}]
    return _status_answer(ErrorShape(400, "INVALID_ARGUMENT", message), details)


def unreadable_request(message: str, violations: Iterable[FieldViolation]) -> Answer:
    """400 of a body that is not the JSON of a SendMessageRequest: BadRequest alone.

    https://firebase.google.com/docs/cloud-messaging/error-codes, example 1.
    """
    return _status_answer(ErrorShape(400, "INVALID_ARGUMENT", message), [_bad_request(violations)])


def gateway_error(
    http_status: int,
    *,
    message: str | None = None,
    reason: str | None = None,
    retry_after_seconds: int | None = None,
    page_kib: int | None = None,
) -> Answer:
    """An error without FcmError; a page of HTML where Google's frontend has no JSON, as for 404 and 502.

    `page_kib`: a page of at least that size, whatever the status, as of a proxy on the way.
    """
    shape = GATEWAY_ERRORS.get(http_status)
    if shape is None or page_kib is not None:
        return _page(http_status, retry_after_seconds, page_kib or 0)
    details = []
    reason = reason or _ERROR_INFO_REASONS.get(http_status)
    if reason is not None:
        metadata = {"service": "fcm.googleapis.com"}
        info = {"reason": reason, "domain": "googleapis.com", "metadata": metadata}
        details.append({"@type": ERROR_INFO_TYPE, **info})
    return _status_answer(
        ErrorShape(shape.http_status, shape.status, message or shape.message), details, retry_after_seconds
    )


def _status_answer(
    shape: ErrorShape, details: list[dict[str, Any]], retry_after_seconds: int | None = None
) -> Answer:
    error: dict[str, Any] = {"code": shape.http_status, "message": shape.message, "status": shape.status}
    if details:
        error["details"] = details
    headers = JSON_HEADERS + _retry_after(retry_after_seconds)
    if shape.http_status == 401:
        headers += (_CHALLENGE,)
    return Answer(shape.http_status, json.dumps({"error": error}, indent=2).encode() + b"\n", headers)


def _page(http_status: int, retry_after_seconds: int | None, page_kib: int) -> Answer:
    page = (
        "<!DOCTYPE html>\n<html lang=en>\n  <meta charset=utf-8>\n"
        f"  <title>Error {http_status}!!1</title>\n"
        f"  <p><b>{http_status}.</b> <ins>That's an error.</ins>\n"
        "  <p>The server could not complete your request.  <ins>That's all we know.</ins>\n"
    )
    page += "<p>&nbsp;</p>\n" * (page_kib * 1024 // len("<p>&nbsp;</p>\n") + 1) if page_kib else ""
    return Answer(http_status, page.encode(), HTML_HEADERS + _retry_after(retry_after_seconds))


def _retry_after(seconds: int | None) -> tuple[tuple[str, str], ...]:
    return () if seconds is None else (("retry-after", str(seconds)),)


def _bad_request(violations: Iterable[FieldViolation]) -> dict[str, Any]:
    listed = [{"field": one.field, "description": one.description} for one in violations]
    return {"@type": BAD_REQUEST_TYPE, "fieldViolations": listed}

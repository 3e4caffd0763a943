"""Reads the parts of an FCM error response that decisions rest on; survives any bytes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from modules.notification.internals.channels.fcm.answer import FcmAnswer, FcmResponse

FCM_ERROR_TYPE = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
QUOTA_FAILURE_TYPE = "type.googleapis.com/google.rpc.QuotaFailure"
BAD_REQUEST_TYPE = "type.googleapis.com/google.rpc.BadRequest"

# Names of the Message resource only: a violation's free text repeats the caller's values.
_MESSAGE_FIELD = re.compile(r"message(\.[a-z_]{1,40}|\[\d{1,4}\]){0,8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """`fcm_code` is FcmError.errorCode, `status` the google.rpc status; "" where FCM said nothing.

    `quotas` are (subject, description) of QuotaFailure, `invalid_fields` those of BadRequest that are FCM's
    own names, "" in place of any other.
    """

    status: str = ""
    fcm_code: str = ""
    quotas: tuple[tuple[str, str], ...] = ()
    invalid_fields: tuple[str, ...] = ()

    @property
    def invalid_field(self) -> str:
        """The first field that can be shown."""
        return next((field for field in self.invalid_fields if field), "")


def parse_json(body: bytes) -> Any:
    """The JSON value of a body, None when it is none; never raises."""
    try:
        return json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def parse_error_body(body: bytes) -> ErrorBody:
    """The error in a response body (google.rpc.Status as JSON); an empty one when there is none."""
    document = parse_json(body)
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict):
        return ErrorBody()
    details = error.get("details")
    items = [item for item in details if isinstance(item, dict)] if isinstance(details, list) else []
    return ErrorBody(
        status=_text(error.get("status")),
        fcm_code=_text(_first(items, FCM_ERROR_TYPE).get("errorCode")),
        quotas=tuple(
            (_text(violation.get("subject")), _text(violation.get("description")))
            for violation in _objects(_first(items, QUOTA_FAILURE_TYPE).get("violations"))
        ),
        invalid_fields=tuple(
            _field_name(violation)
            for violation in _objects(_first(items, BAD_REQUEST_TYPE).get("fieldViolations"))
        ),
    )


def refuses_access_token(answer: FcmAnswer) -> bool:
    """Whether FCM did not take our access token, so nothing was sent and a fresh token may help."""
    if not isinstance(answer, FcmResponse) or answer.status != 401:
        return False
    return not parse_error_body(answer.body).fcm_code


def _first(items: list[dict[str, Any]], type_url: str) -> dict[str, Any]:
    return next((item for item in items if item.get("@type") == type_url), {})


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _field_name(violation: dict[str, Any]) -> str:
    name = _text(violation.get("field"))
    return name if _MESSAGE_FIELD.fullmatch(name) else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""

"""Bodies of error responses as FCM's documentation and observed answers have them."""

from __future__ import annotations

from typing import Any

FCM_ERROR_TYPE = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


def fcm_error(http_status: int, status: str, fcm_code: str = "", *details: dict[str, Any]) -> dict[str, Any]:
    """An error response; `fcm_code` empty leaves FcmError out."""
    named = [{"@type": FCM_ERROR_TYPE, "errorCode": fcm_code}] if fcm_code else []
    return {
        "error": {
            "code": http_status,
            "message": "Request failed.",
            "status": status,
            "details": [*named, *details],
        }
    }


def quota_failure(subject: str, description: str = "") -> dict[str, Any]:
    violation = {"subject": subject, "description": description}
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}


def bad_request(*fields: str) -> dict[str, Any]:
    violations = [{"field": field, "description": "Invalid value"} for field in fields]
    return {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}

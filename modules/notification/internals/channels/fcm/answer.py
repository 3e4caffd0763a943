"""What came of one request to FCM, before anybody says what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class FailureKind(StrEnum):
    """Why there is no response. The first group never reached FCM, of the second nobody can know."""

    PAYLOAD_INVALID = "payload_invalid"
    APP_UNKNOWN = "app_unknown"
    CREDENTIALS_UNUSABLE = "credentials_unusable"
    TOKEN_SERVER_UNREACHABLE = "token_server_unreachable"  # noqa: S105 - a reason, no credential
    SERVER_UNTRUSTED = "server_untrusted"
    CONNECT_FAILED = "connect_failed"
    STREAM_REFUSED = "stream_refused"
    CLAIM_LOST = "claim_lost"
    QUOTA_REACHED = "quota_reached"

    TIMEOUT = "timeout"
    CONNECTION_LOST = "connection_lost"
    RESPONSE_TOO_LARGE = "response_too_large"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True, slots=True, kw_only=True)
class FcmResponse:
    """A whole HTTP response; header names are lower-case. The body can repeat a token: not in `repr`."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    latency_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SendFailure:
    """No response. `detail` is kept with the row: one line, no content, address, secret or path."""

    kind: FailureKind
    detail: str = ""
    retry_after_seconds: float | None = None
    latency_ms: float = 0.0


FcmAnswer = FcmResponse | SendFailure

"""What came of one request to FCM, before anybody says what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class FailureKind(StrEnum):
    """Why there is no response. Of the first group FCM read nothing, of the second nobody can know."""

    PAYLOAD_INVALID = "payload_invalid"
    APP_UNKNOWN = "app_unknown"
    CREDENTIALS_UNUSABLE = "credentials_unusable"
    TOKEN_SERVER_UNREACHABLE = "token_server_unreachable"  # noqa: S105 - a reason, no credential
    TOKEN_RAN_OUT = "token_ran_out"  # noqa: S105 - a reason, no credential
    SERVER_UNTRUSTED = "server_untrusted"
    CONNECT_FAILED = "connect_failed"
    STREAM_REFUSED = "stream_refused"
    NOT_LET_OUT = "not_let_out"
    QUOTA_REACHED = "quota_reached"

    TIMEOUT = "timeout"
    CONNECTION_LOST = "connection_lost"
    RESPONSE_TOO_LARGE = "response_too_large"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True, slots=True, kw_only=True)
class FcmResponse:
    """What a server answered; header names are lower-case. The body can repeat a token: not in `repr`.

    Of a refusal whose body is too long or was cut off, `body` is empty: its status and headers decide.
    """

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

"""Tells from how a request failed whether FCM can have read it; knows the words of the HTTP/2 client."""

from __future__ import annotations

from pyreqwest.exceptions import DetailedPyreqwestError, PyreqwestError, RequestTimeoutError

from modules.notification.internals.channels.fcm.answer import FailureKind

_DETAIL_LENGTH = 120
# hyper-util's name for an error before a connection existed. pyreqwest's own classes do not tell: it raises
# ConnectError for a reset, and ConnectTimeoutError for a missed deadline, after the request was written.
_NO_CONNECTION = "client error (Connect)"
# hyper-util's name for an error whose request it still holds whole: the connection ended before any of it was
# handed over (src/client/legacy/client.rs, `TrySendError::Retryable`).
_NOT_HANDED_OVER = "client error (Canceled)"
# hyper-util's name for an error after that and before an answer began; an answer proves the stream was read.
_NO_ANSWER = "client error (SendRequest)"
_UNTRUSTED = "invalid peer certificate"
# What proves that the server processed nothing of a stream: h2's words for RST_STREAM with REFUSED_STREAM and
# for a stream beyond the last that a GOAWAY names, whatever its code (RFC 9113, 6.8 and 8.7; h2 src/error.rs,
# src/proto/streams/streams.rs, `recv_go_away`); code and debug data follow. Any other "stream error received"
# is another thing: the server may have read enough (RFC 9113, 8.1).
_UNREAD = (
    "stream error received: refused stream before processing any application logic",
    "connection error received: ",
)
# hyper's words for a request that waited for the server to allow one more stream when the connection ended:
# its body, which is the message, was not handed over yet (hyper src/proto/h2/client.rs, `fut_ctx`).
_NEVER_OPENED = ("dispatch task is gone", "runtime dropped the dispatch task")


def failure_of(error: PyreqwestError) -> tuple[FailureKind, str]:
    """What kind of failure it is, and one line of detail; what is not proven unread may have been taken."""
    causes = _causes(error)
    detail = causes[-1][:_DETAIL_LENGTH] if causes else ""
    if _NO_CONNECTION in causes:
        untrusted = any(cause.startswith(_UNTRUSTED) for cause in causes)
        return (FailureKind.SERVER_UNTRUSTED if untrusted else FailureKind.CONNECT_FAILED), detail
    if _is_unread(causes):
        return FailureKind.STREAM_REFUSED, ""
    if isinstance(error, RequestTimeoutError):
        return FailureKind.TIMEOUT, ""
    return FailureKind.CONNECTION_LOST, detail


def _is_unread(causes: list[str]) -> bool:
    if _NOT_HANDED_OVER in causes:
        return True
    if _NO_ANSWER not in causes:
        return False
    return any(cause.startswith(_UNREAD) for cause in causes) or tuple(causes[-2:]) == _NEVER_OPENED


def _causes(error: PyreqwestError) -> list[str]:
    causes = error.details.get("causes") if isinstance(error, DetailedPyreqwestError) else None
    return [cause["message"] for cause in causes or ()]

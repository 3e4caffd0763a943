"""Says what an answer of FCM, or its absence, means; the only place that decides it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from prometheus_client import Counter

from modules.logger.logger_service import get_logger
from modules.notification.internals.channels.fcm.answer import FcmAnswer, FcmResponse, SendFailure
from modules.notification.internals.channels.fcm.error_body import ErrorBody, parse_error_body, parse_json
from modules.notification.internals.channels.fcm.error_table import (
    FAILURES,
    FCM_CODES,
    GOOGLE_STATUSES,
    HTTP_STATUSES,
    REDIRECTED,
    SUCCESS_WITHOUT_NAME,
    UNKNOWN_CODE,
    Meaning,
    may_mean,
)
from modules.notification.internals.channels.fcm.retry_after import parse_http_date, parse_retry_after
from modules.notification.types import Classification, Outcome, Suspect, ThrottleScope

ACCEPTED = Classification(outcome=Outcome.ACCEPTED, code="OK", reason="FCM accepted the message")
UNKNOWN_CODES = Counter(
    "notifications_unknown_provider_codes", "Answers of a provider that the table does not know", ["provider"]
)

_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
# A name is stored with the row, so it has to be storable: no lone surrogates, no novels.
_MESSAGE_NAME = re.compile(r"[!-~]{1,512}")
# What FCM says of a malformed token and of a bad payload alike; BadRequest may name the field.
_INVALID_ARGUMENT = "INVALID_ARGUMENT"
_TARGET_FIELDS = frozenset({"message.token", "message.fid"})
_QUOTA_WORDS = (
    (ThrottleScope.TOPIC, ("topic",)),
    (ThrottleScope.DEVICE, ("device", "token", "registration", "installation", "fid")),
    (ThrottleScope.PROJECT, ("project",)),
)

OnUnknownCode = Callable[[str, int], None]


def report_unknown_code(code: str, http_status: int) -> None:
    """Count and log an answer the table does not know."""
    UNKNOWN_CODES.labels(provider="fcm").inc()
    get_logger().warning(
        "provider answered with an unknown code",
        action="push.unknown_provider_code",
        provider="fcm",
        code=code,
        http_status=http_status,
    )


def accepted_message_id(answer: FcmAnswer) -> str | None:
    """The message's name if FCM accepted it (`projects/*/messages/*`), else None; never raises."""
    if not isinstance(answer, FcmResponse) or answer.status != 200:
        return None
    document = parse_json(answer.body)
    name = document.get("name") if isinstance(document, dict) else None
    return name if isinstance(name, str) and _MESSAGE_NAME.fullmatch(name) else None


class ErrorClassifier:
    """Maps every answer to exactly one classification; never raises.

    `on_unknown_code` is told of codes the table lacks, with the HTTP status.
    """

    def __init__(self, *, on_unknown_code: OnUnknownCode = report_unknown_code) -> None:
        self._on_unknown_code = on_unknown_code

    def classify(self, answer: FcmAnswer) -> Classification:
        """What the answer means for the row and the device; `code` is stable, `reason` one line."""
        if isinstance(answer, SendFailure):
            return _classified(
                answer.kind.upper(),
                FAILURES[answer.kind],
                detail=answer.detail,
                retry_after_seconds=answer.retry_after_seconds,
            )
        if 200 <= answer.status < 300:
            if accepted_message_id(answer) is not None:
                return ACCEPTED
            return _classified("INVALID_RESPONSE", SUCCESS_WITHOUT_NAME)
        if 300 <= answer.status < 400:
            return _classified(f"HTTP_{answer.status}", REDIRECTED)
        return self._classify_error(answer, parse_error_body(answer.body))

    def _classify_error(self, response: FcmResponse, error: ErrorBody) -> Classification:
        code, meaning = self._look_up(response.status, error)
        retry_after = None
        if meaning.outcome in (Outcome.THROTTLED, Outcome.TRANSIENT):
            retry_after = _retry_after_seconds(response)
        return _classified(
            code,
            meaning,
            detail=error.invalid_field if meaning.outcome is Outcome.PERMANENT else "",
            retry_after_seconds=retry_after,
            scope=_quota_scope(error) if meaning.outcome is Outcome.THROTTLED else None,
            suspect=_suspect(error) if response.status == 400 and code == _INVALID_ARGUMENT else None,
        )

    def _look_up(self, status: int, error: ErrorBody) -> tuple[str, Meaning]:
        """What the body says, where the status allows it; else what the status says."""
        code, meaning = self._named(status, error)
        if meaning is not None and may_mean(status, meaning.outcome):
            return code, meaning
        if status in HTTP_STATUSES:
            return f"HTTP_{status}", HTTP_STATUSES[status]
        return self._unknown(error.status or f"HTTP_{status}", status)

    def _named(self, status: int, error: ErrorBody) -> tuple[str, Meaning | None]:
        if not error.fcm_code:
            return error.status, GOOGLE_STATUSES.get(error.status)
        meaning = FCM_CODES.get(error.fcm_code)
        if meaning is not None and meaning.only_with in (None, status):
            return error.fcm_code, meaning
        return self._unknown(error.fcm_code, status)

    def _unknown(self, code: str, status: int) -> tuple[str, Meaning]:
        safe_code = code if _CODE.fullmatch(code) else "UNREADABLE"
        self._on_unknown_code(safe_code, status)
        return safe_code, UNKNOWN_CODE


def _classified(
    code: str,
    meaning: Meaning,
    *,
    detail: str = "",
    retry_after_seconds: float | None = None,
    scope: ThrottleScope | None = None,
    suspect: Suspect | None = None,
) -> Classification:
    return Classification(
        outcome=meaning.outcome,
        code=code,
        reason=f"{meaning.reason}: {detail}" if detail else meaning.reason,
        target_action=meaning.target_action,
        retry_after_seconds=retry_after_seconds,
        min_backoff_seconds=meaning.min_backoff_seconds,
        scope=scope,
        attempted=meaning.attempted,
        unreached=meaning.unreached,
        suspect=suspect,
    )


def _retry_after_seconds(response: FcmResponse) -> float | None:
    # The server's own clock, where it tells it: ours may be minutes off.
    now = parse_http_date(response.headers.get("date")) or datetime.now(UTC)
    return parse_retry_after(response.headers.get("retry-after"), now=now)


def _suspect(error: ErrorBody) -> Suspect | None:
    """None where FCM names a part of the message that is the same for all."""
    if not error.invalid_fields:
        return Suspect.MESSAGE_OR_TARGET
    return Suspect.TARGET if _TARGET_FIELDS.issuperset(error.invalid_fields) else None


def _quota_scope(error: ErrorBody) -> ThrottleScope:
    # A subject reads "kind:name", and the name is the caller's: only its kind may decide.
    texts = [subject.partition(":")[0].lower() for subject, _ in error.quotas]
    texts += [description.lower() for _, description in error.quotas]
    for text in texts:
        for scope, words in _QUOTA_WORDS:
            if any(word in text for word in words):
                return scope
    return ThrottleScope.PROJECT

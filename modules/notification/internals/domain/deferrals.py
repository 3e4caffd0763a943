"""Why a message did not go out although nothing is wrong with it: decided here, before anything left."""

from __future__ import annotations

from modules.notification.internals.domain.circuit_breaker import PAUSED_CODE, PAUSED_REASON
from modules.notification.internals.domain.settlement import CLAIM_LOST_CODE, EXPIRED_CODE
from modules.notification.types import Classification, Outcome

# Long enough for one that can read it to come first, short enough for a row that is waited for.
LET_GO_SECONDS = 30.0


def deferral(
    code: str, reason: str, retry_after_seconds: float, *, unreached: bool = False
) -> Classification:
    """The result of a message that this process did not let out; it costs no retry."""
    return Classification(
        outcome=Outcome.THROTTLED,
        code=code,
        reason=reason,
        retry_after_seconds=retry_after_seconds,
        attempted=False,
        unreached=unreached,
    )


CLAIM_LOST = deferral(CLAIM_LOST_CODE, "the claim ran out before there was room to send", 1.0)
TOO_LATE = deferral(EXPIRED_CODE, "expires_at passed before it went out", 0.0)
STOPPED = deferral("STOPPED", "what it belongs to was stopped", 0.0)
RATE_WAIT = deferral("RATE_WAIT", "the shared rate had no room for it yet", 0.0)
RATE_UNKNOWN = deferral("RATE_UNKNOWN", "the shared rate cannot be read now", 1.0)
UNMARKED = deferral("UNMARKED", "that it was about to go out could not be recorded", 1.0)
GONE = deferral("GONE", "the device left before its message went out", 0.0)
UNSEEN = deferral("UNSEEN", "whom it goes to cannot be looked up now", 1.0)
NEWCOMER = deferral("NEWCOMER", "the device came after the row was claimed", 0.0)
UNREADABLE = deferral(
    "UNREADABLE", "this version cannot read the account's devices or preferences", LET_GO_SECONDS
)
# What was known of its target is too old to send by: looked at again, and never a result of the row's.
STALE = deferral("STALE", "what is known of the target is too old", 0.0)


def paused(seconds: float) -> Classification:
    return deferral(PAUSED_CODE, PAUSED_REASON, seconds)

"""The table of everything FCM and the way to it can answer, and what each means for row and device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from modules.notification.internals.channels.fcm.answer import FailureKind
from modules.notification.types import Outcome, TargetAction

# FCM's guide "Scale FCM": back off from 10 s on 5xx, 60 s on 429 without Retry-After.
SERVER_ERROR_BACKOFF_SECONDS = 10.0
QUOTA_BACKOFF_SECONDS = 60.0
CONNECT_BACKOFF_SECONDS = 1.0
# What only an operator can mend is not looked at every second.
OPERATOR_BACKOFF_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Meaning:
    """One row of the table. `only_with` is the HTTP status without which the row does not hold.

    `attempted` False: decided in this process, so it says nothing of the provider or the credential.
    `unreached`: tried with settings that are right as far as is known, and certainly not read by FCM.
    """

    outcome: Outcome
    reason: str
    target_action: TargetAction = TargetAction.KEEP
    min_backoff_seconds: float = 0.0
    only_with: int | None = None
    attempted: bool = True
    unreached: bool = False


def _transient(reason: str) -> Meaning:
    return Meaning(Outcome.TRANSIENT, reason, min_backoff_seconds=SERVER_ERROR_BACKOFF_SECONDS)


def _throttled(reason: str) -> Meaning:
    return Meaning(Outcome.THROTTLED, reason, min_backoff_seconds=QUOTA_BACKOFF_SECONDS)


def _unreached(outcome: Outcome, reason: str) -> Meaning:
    return Meaning(outcome, reason, min_backoff_seconds=CONNECT_BACKOFF_SECONDS, unreached=True)


def _unknown(reason: str, backoff_seconds: float = SERVER_ERROR_BACKOFF_SECONDS) -> Meaning:
    return Meaning(Outcome.UNKNOWN, reason, min_backoff_seconds=backoff_seconds)


def _permanent(reason: str) -> Meaning:
    return Meaning(Outcome.PERMANENT, reason)


def _misconfigured(reason: str) -> Meaning:
    return Meaning(Outcome.MISCONFIGURED, reason)


# A device is given up only where FCM's own code and its documented HTTP status agree: a wrong project or a
# proxy answers 404 and 403 for every device at once.
FCM_CODES: Mapping[str, Meaning] = MappingProxyType(
    {
        "UNSPECIFIED_ERROR": _transient("FCM failed without saying why"),
        "INVALID_ARGUMENT": _permanent("FCM refused the request as invalid; the token is kept"),
        "UNREGISTERED": Meaning(
            Outcome.TARGET_DEAD,
            "the app is no longer registered under this token",
            target_action=TargetAction.DEACTIVATE,
            only_with=404,
        ),
        "SENDER_ID_MISMATCH": Meaning(
            Outcome.TARGET_DEAD,
            "the token belongs to another Firebase project",
            target_action=TargetAction.QUARANTINE,
            only_with=403,
        ),
        "QUOTA_EXCEEDED": _throttled("a sending quota of FCM is used up"),
        "UNAVAILABLE": _transient("FCM is overloaded"),
        "INTERNAL": _transient("FCM failed inside"),
        "THIRD_PARTY_AUTH_ERROR": _misconfigured(
            "the APNs certificate or web push key is missing or invalid"
        ),
        "APNS_AUTH_ERROR": _misconfigured("the APNs certificate or key is missing or invalid"),
    }
)

# google.rpc.Code by name, as in the "status" of an error response.
GOOGLE_STATUSES: Mapping[str, Meaning] = MappingProxyType(
    {
        "CANCELLED": _unknown("FCM gave up on the request midway"),
        "UNKNOWN": _transient("FCM failed without saying why"),
        "INVALID_ARGUMENT": _permanent("FCM refused the request as invalid; the token is kept"),
        "DEADLINE_EXCEEDED": _unknown("FCM ran out of time; the message may have been taken"),
        "NOT_FOUND": _misconfigured("FCM knows no such project or address; the token is kept"),
        "ALREADY_EXISTS": _transient("FCM reported a conflict"),
        "PERMISSION_DENIED": _misconfigured("the service account may not send for this project"),
        "UNAUTHENTICATED": _misconfigured("FCM does not accept the service account's access token"),
        "RESOURCE_EXHAUSTED": _throttled("a sending quota of FCM is used up"),
        "FAILED_PRECONDITION": _permanent("FCM refused the request in its present state; the token is kept"),
        "ABORTED": _transient("FCM reported a conflict"),
        "OUT_OF_RANGE": _permanent("FCM refused the request as invalid; the token is kept"),
        "UNIMPLEMENTED": _misconfigured("the endpoint does not offer this FCM method"),
        "INTERNAL": _transient("FCM failed inside"),
        "UNAVAILABLE": _transient("FCM is overloaded"),
        "DATA_LOSS": _transient("FCM lost the request"),
    }
)

# For answers without a Google status: proxies, load balancers and servers that are not FCM at all.
HTTP_STATUSES: Mapping[int, Meaning] = MappingProxyType(
    {
        400: _permanent("the request was refused as invalid; the token is kept"),
        401: _misconfigured("the access token was not accepted"),
        403: _misconfigured("the service account may not send for this project"),
        404: _misconfigured("there is no such address; check project and endpoint; the token is kept"),
        405: _misconfigured("the endpoint does not take messages; check fcm.endpoint"),
        407: _misconfigured("a proxy on the way asks for a password"),
        408: _unknown("the server gave up waiting for the request"),
        409: _transient("the server reported a conflict"),
        410: _misconfigured("the address is gone; check fcm.endpoint"),
        412: _permanent("the request was refused in its present state; the token is kept"),
        413: _permanent("the request is too large; the token is kept"),
        415: _permanent("the request's form was refused; the token is kept"),
        421: _misconfigured("the server does not answer for this host; check fcm.endpoint"),
        425: _transient("the server would not take the request yet"),
        429: _throttled("too many requests"),
        499: _unknown("the request was given up midway"),
        500: _transient("the server failed inside"),
        501: _misconfigured("the endpoint does not offer this method; check fcm.endpoint"),
        502: _transient("a gateway got no good answer from FCM"),
        503: _transient("the server is overloaded"),
        504: _unknown("a gateway ran out of time; the message may have been taken"),
    }
)

# Statuses that say by themselves what became of the message: no body, of whatever server on the way, turns
# a 429 into anything but "wait", or a 504 into "not taken".
_OUTCOMES_OF: Mapping[int, frozenset[Outcome]] = MappingProxyType(
    {
        401: frozenset({Outcome.MISCONFIGURED}),
        408: frozenset({Outcome.UNKNOWN}),
        429: frozenset({Outcome.THROTTLED}),
        499: frozenset({Outcome.UNKNOWN}),
        501: frozenset({Outcome.MISCONFIGURED}),
        504: frozenset({Outcome.UNKNOWN}),
    }
)
_OUTCOMES_OF_SERVER_ERRORS = frozenset({Outcome.TRANSIENT, Outcome.UNKNOWN, Outcome.THROTTLED})


def may_mean(http_status: int, outcome: Outcome) -> bool:
    """Whether the body of an answer with this status can be believed when it says so."""
    if http_status in _OUTCOMES_OF:
        return outcome in _OUTCOMES_OF[http_status]
    return http_status < 500 or outcome in _OUTCOMES_OF_SERVER_ERRORS


FAILURES: Mapping[FailureKind, Meaning] = MappingProxyType(
    {
        FailureKind.PAYLOAD_INVALID: Meaning(
            Outcome.PERMANENT, "the notification cannot be put into an FCM message", attempted=False
        ),
        FailureKind.APP_UNKNOWN: Meaning(
            Outcome.MISCONFIGURED,
            "no FCM app is configured under the device's app id",
            min_backoff_seconds=OPERATOR_BACKOFF_SECONDS,
            attempted=False,
        ),
        FailureKind.CREDENTIALS_UNUSABLE: _misconfigured("no access token for FCM can be had"),
        FailureKind.TOKEN_SERVER_UNREACHABLE: _unreached(
            Outcome.TRANSIENT, "the token server gives no answer; nothing was sent"
        ),
        FailureKind.TOKEN_RAN_OUT: _unreached(
            Outcome.THROTTLED, "the access token ran out on its way to FCM; nothing was sent"
        ),
        FailureKind.SERVER_UNTRUSTED: _misconfigured(
            "the server's certificate is not trusted; check fcm.ca_file"
        ),
        FailureKind.CONNECT_FAILED: _unreached(Outcome.TRANSIENT, "no connection to FCM; nothing was sent"),
        # No evidence against FCM, which answers others meanwhile, and so none for the breaker.
        FailureKind.STREAM_REFUSED: _unreached(
            Outcome.THROTTLED, "FCM refused the stream unread; nothing was sent"
        ),
        FailureKind.NOT_LET_OUT: Meaning(
            Outcome.THROTTLED,
            "whoever sends did not let it out",
            min_backoff_seconds=1.0,
            attempted=False,
        ),
        FailureKind.QUOTA_REACHED: Meaning(
            Outcome.THROTTLED,
            "FCM asked the whole project to wait before this was sent",
            min_backoff_seconds=QUOTA_BACKOFF_SECONDS,
            attempted=False,
        ),
        FailureKind.TIMEOUT: _unknown("no answer in time; the message may have been taken"),
        FailureKind.CONNECTION_LOST: _unknown(
            "the connection was lost; the message may have been taken", CONNECT_BACKOFF_SECONDS
        ),
        FailureKind.RESPONSE_TOO_LARGE: _unknown("the answer is far too long to be FCM's"),
        FailureKind.UNEXPECTED: _unknown("sending failed in a way nobody foresaw"),
    }
)

SUCCESS_WITHOUT_NAME = _unknown("the answer says success but names no message; it may have been taken")
REDIRECTED = _misconfigured("the endpoint redirects, which FCM never does; check fcm.endpoint")
UNKNOWN_CODE = _transient("an answer this service does not know")

"""POST /token as oauth2.googleapis.com answers it: a signed assertion in, an access token out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs

import jwt

from simulator.access_tokens import AccessTokens
from simulator.exchange import Answer, Request, json_answer
from simulator.service_accounts import ServiceAccount
from simulator.traffic import Traffic

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# google-auth signs for this address whatever `token_uri` says (google/oauth2/service_account.py).
GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token"
SCOPES = frozenset(
    {
        "https://www.googleapis.com/auth/firebase.messaging",
        "https://www.googleapis.com/auth/cloud-platform",
    }
)
EXPIRES_IN_SECONDS = 3599
MAX_LIFETIME_SECONDS = 3600
SKEW_SECONDS = 600

_SHORT_LIVED = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
    " Check your iat and exp values in the JWT claim."
)


class TokenMode(StrEnum):
    """How the token endpoint behaves."""

    OK = "ok"
    INVALID_GRANT = "invalid_grant"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBehaviour:
    """The mode holds for `project` only, if one is named, and for `times` requests, if a number is given."""

    mode: TokenMode = TokenMode.OK
    delay_ms: int = 0
    expires_in_seconds: int = EXPIRES_IN_SECONDS
    project: str | None = None
    times: int | None = None


class _RefusedError(Exception):
    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.answer = json_answer(400, {"error": error, "error_description": description})


class TokenEndpoint:
    """Checks assertions against the service accounts; `audience` is this endpoint's own address."""

    def __init__(
        self,
        *,
        accounts: Iterable[ServiceAccount],
        audience: str,
        tokens: AccessTokens,
        traffic: Traffic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._accounts = {account.email: account for account in accounts}
        self._audiences = {audience, GOOGLE_AUDIENCE}
        self._tokens = tokens
        self._traffic = traffic
        self._now = now
        self._behaviour = TokenBehaviour()
        self._affected = 0

    def behave(self, behaviour: TokenBehaviour) -> None:
        """Replace what the endpoint was told before."""
        self._behaviour = behaviour
        self._affected = 0

    def answer(self, request: Request) -> Answer:
        try:
            account = self._authenticate(_form_of(request.body))
        except _RefusedError as refused:
            self._traffic.tokens_refused += 1
            return refused.answer
        return self._answer_for(account)

    def _answer_for(self, account: ServiceAccount) -> Answer:
        behaviour = self._behaviour
        for_all = behaviour.project is None or behaviour.project == account.project
        if not for_all or behaviour.times == self._affected:
            behaviour = TokenBehaviour()
        self._affected += behaviour is self._behaviour
        if behaviour.mode is not TokenMode.OK:
            self._traffic.tokens_refused += 1
            answer = _FAILURES[behaviour.mode]
        else:
            self._traffic.tokens_issued += 1
            expires_at = self._now() + behaviour.expires_in_seconds
            content = {
                "access_token": self._tokens.issue(account.project, expires_at=expires_at),
                "expires_in": behaviour.expires_in_seconds,
                "token_type": "Bearer",
            }
            answer = json_answer(200, content)
        return Answer(answer.status, answer.body, delay_seconds=behaviour.delay_ms / 1000)

    def _authenticate(self, form: Mapping[str, str]) -> ServiceAccount:
        if form.get("grant_type") != GRANT_TYPE:
            raise _RefusedError("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
        assertion = form.get("assertion", "")
        account = self._accounts.get(str(_unverified(assertion).get("iss")))
        if account is None:
            raise _RefusedError("invalid_grant", "Invalid grant: account not found")
        options: Any = {"verify_aud": False, "verify_exp": False, "verify_iat": False, "verify_nbf": False}
        try:
            claims = jwt.decode(assertion, account.public_key, algorithms=["RS256"], options=options)
        except jwt.InvalidTokenError:
            raise _RefusedError("invalid_grant", "Invalid JWT Signature.") from None
        self._check_claims(claims)
        return account

    def _check_claims(self, claims: Mapping[str, Any]) -> None:
        if claims.get("aud") not in self._audiences:
            description = f"Invalid JWT: Failed audience check. The right audience is {GOOGLE_AUDIENCE}"
            raise _RefusedError("invalid_grant", description)
        issued, expires = _time_of(claims, "iat"), _time_of(claims, "exp")
        now = self._now()
        in_time = issued <= now + SKEW_SECONDS and now - SKEW_SECONDS < expires
        if not in_time or not 0 < expires - issued <= MAX_LIFETIME_SECONDS:
            raise _RefusedError("invalid_grant", _SHORT_LIVED)
        if not SCOPES & set(str(claims.get("scope", "")).split()):
            raise _RefusedError("invalid_scope", "Invalid OAuth scope or ID token audience provided.")


_FAILURES = {
    TokenMode.INVALID_GRANT: json_answer(
        400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
    ),
    TokenMode.UNAVAILABLE: json_answer(
        503, {"error": "temporarily_unavailable", "error_description": "The service is unavailable."}
    ),
}


def _form_of(body: bytes) -> dict[str, str]:
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=100)
    except ValueError:
        return {}
    return {name: values[-1] for name, values in fields.items()}


def _unverified(assertion: str) -> Mapping[str, Any]:
    try:
        return jwt.decode(assertion, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        raise _RefusedError("invalid_grant", "Bad Request") from None


def _time_of(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _RefusedError("invalid_grant", _SHORT_LIVED)
    return value

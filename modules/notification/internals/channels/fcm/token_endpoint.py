"""Asks the token server for an access token, one grant at a time, and says plainly why there is none."""

from __future__ import annotations

import functools
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from google.auth import exceptions
from google.auth.transport import requests as google_requests

from modules.notification.errors import ProviderRefusedError, ProviderUnavailableError
from modules.notification.internals.channels.fcm.certificate_authority import trusting_context
from modules.notification.internals.channels.fcm.service_account import ServiceAccount

# RFC 6749, 5.2: the codes a token server may answer with; its free text is not ours to repeat.
_GRANT_ERRORS = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    }
)
# Visible ASCII, as a header can carry it.
_TOKEN = re.compile(r"[!-~]+")
# What google-auth trips over when a server answers 200 with something else than a token response.
_NOT_A_TOKEN_RESPONSE = (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError)


class _TrustingAdapter(requests.adapters.HTTPAdapter):
    """Verifies with a TLS context of our own."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """An access token, which stays out of `repr`; `lifetime_seconds` None: the server did not say."""

    token: str = field(repr=False)
    lifetime_seconds: float | None


class TokenEndpoint:
    """The way to the token server named in a service account; blocking, for use in a thread."""

    def __init__(self, *, ca_file: Path | None, timeout_seconds: float) -> None:
        self._ca_file = ca_file
        self._timeout_seconds = timeout_seconds

    def grant(self, account: ServiceAccount) -> Grant:
        """Exchange a signed assertion for an access token (RFC 7523), by google-auth.

        Raises ProviderRefusedError when the server says no, ProviderUnavailableError when it cannot be asked,
        ProviderConfigurationError when the CA file cannot be used.
        """
        credential = account.certificate.get_credential()
        with requests.Session() as session:
            # Proxies, netrc and CA bundles of the environment would bypass the settings.
            session.trust_env = False
            if self._ca_file is not None:
                session.mount("https://", _TrustingAdapter(trusting_context(self._ca_file)))
            request: Callable[..., Any] = functools.partial(
                google_requests.Request(session), timeout=self._timeout_seconds, allow_redirects=False
            )
            try:
                credential.refresh(request)
            except exceptions.GoogleAuthError as error:
                failure = _failure(error)
            except _NOT_A_TOKEN_RESPONSE:
                failure = _refused("its answer is no token")
            else:
                return _checked_grant(credential)
        raise failure


def _checked_grant(credential: Any) -> Grant:
    if not isinstance(credential.token, str) or not _TOKEN.fullmatch(credential.token):
        raise _refused("its answer is no token")
    if credential.expiry is None:
        return Grant(token=credential.token, lifetime_seconds=None)
    # google-auth keeps naive UTC; only the difference counts, so this host's clock may be wrong.
    lifetime = credential.expiry - datetime.now(UTC).replace(tzinfo=None)
    return Grant(token=credential.token, lifetime_seconds=lifetime.total_seconds())


def _failure(error: exceptions.GoogleAuthError) -> Exception:
    if isinstance(error, exceptions.TransportError):
        return ProviderUnavailableError(
            code="fcm_token_server_unreachable",
            field="fcm.credentials_path",
            reason=f"the token server cannot be reached ({_transport_reason(error)})",
        )
    if error.retryable:
        return ProviderUnavailableError(
            code="fcm_token_server_unavailable",
            field="fcm.credentials_path",
            reason="the token server is up but cannot grant a token now",
        )
    return _refused(_grant_error(error))


def _refused(why: str) -> ProviderRefusedError:
    return ProviderRefusedError(
        code="fcm_token_refused",
        field="fcm.credentials_path",
        reason=f"the token server refuses the service account ({why})",
    )


def _transport_reason(error: exceptions.TransportError) -> str:
    cause = error.__cause__ or (error.args[0] if error.args else None)
    if isinstance(cause, requests.exceptions.SSLError):
        return "its certificate is not trusted; check fcm.ca_file"
    if isinstance(cause, requests.exceptions.Timeout):
        return "no answer in time"
    return "no connection"


def _grant_error(error: exceptions.GoogleAuthError) -> str:
    response = error.args[1] if len(error.args) > 1 else None
    code = response.get("error") if isinstance(response, dict) else None
    if code == "invalid_grant":
        return "invalid_grant: the key was revoked, or this host's clock is wrong"
    return code if isinstance(code, str) and code in _GRANT_ERRORS else "its answer is no token"

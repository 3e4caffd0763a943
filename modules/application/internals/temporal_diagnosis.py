"""Tells a wrong setting from a Temporal that is away, by what the SDK and the server say."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio.service import RPCError, RPCStatusCode

from modules.application.errors import ConfigurationError, HostUnknownError, ServiceError, UnavailableError
from modules.application.tls_probe import speaks_tls
from modules.config.types import TemporalSettings

MAX_REASON_LENGTH = 300
PROBE_SECONDS = 2.0
# getaddrinfo's EAI_NONAME and EAI_NODATA, in the words of the C library and of musl.
_NO_SUCH_HOST = ("Name or service not known", "No address associated", "Name does not resolve")
_NOT_LET_IN = (RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED)


@dataclass(frozen=True, slots=True)
class _Sign:
    """Words in the SDK's error, which is text alone, and what they say is wrong."""

    words: str
    field: str
    reason: str


_SIGNS = (
    _Sign("InvalidContentType", "temporal.tls.enabled", "the server at temporal.address speaks no TLS"),
    _Sign("NotValidForName", "temporal.tls.server_name", "the server's certificate is for another name"),
    _Sign("InvalidCertificate", "temporal.tls.ca_file", "the server's certificate is not trusted"),
    _Sign("PrivateKeyParseError", "temporal.tls.key_file", "holds no private key in PEM"),
    _Sign("CertificateParseError", "temporal.tls.cert_file", "holds no certificate in PEM"),
    _Sign("KeyMismatch", "temporal.tls.key_file", "is not the key of temporal.tls.cert_file"),
    _Sign("code: Unauthenticated", "temporal.api_key", "the server does not let it in"),
    _Sign("code: PermissionDenied", "temporal.api_key", "the server does not let it in"),
    _Sign("code: Unimplemented", "temporal.address", "what answers there is no frontend of Temporal"),
    _Sign("CertificateRequired", "temporal.tls.cert_file", "the server asks for a client certificate"),
)


class TemporalUnavailableError(UnavailableError):
    """Temporal cannot be reached; `field` names the setting that says where it is."""

    def __init__(self, reason: str, *, field: str | None = None) -> None:
        super().__init__(code="temporal_unavailable", reason=reason, field=field)


def misconfigured(field: str, reason: str) -> ConfigurationError:
    return ConfigurationError(code="temporal_misconfigured", field=field, reason=reason)


async def connect_failure(error: Exception, settings: TemporalSettings) -> ServiceError:
    """Why no connection came about."""
    text = str(error)
    if "dns error" in text and any(words in text for words in _NO_SUCH_HOST):
        return HostUnknownError(
            code="temporal_host_unknown", field="temporal.address", reason="names a host that does not exist"
        )
    for sign in _SIGNS:
        if sign.words in text:
            return misconfigured(sign.field, sign.reason)
    host, _, port = settings.address.rpartition(":")
    if not settings.tls.enabled and await speaks_tls(host.strip("[]"), int(port), seconds=PROBE_SECONDS):
        return misconfigured("temporal.tls.enabled", "the server at temporal.address speaks TLS only")
    return TemporalUnavailableError(f"cannot connect to {settings.address}", field="temporal.address")


def namespace_failure(error: RPCError, settings: TemporalSettings) -> ServiceError:
    """Why the namespace could not be read."""
    if error.status is RPCStatusCode.NOT_FOUND:
        return misconfigured("temporal.namespace", "this namespace does not exist on the server")
    if error.status is RPCStatusCode.INVALID_ARGUMENT:
        return misconfigured("temporal.namespace", "the server takes this for no namespace's name")
    if error.status is RPCStatusCode.UNIMPLEMENTED:
        return misconfigured("temporal.address", "what answers there is no frontend of Temporal")
    return not_let_in(error, settings) or TemporalUnavailableError(
        f"the namespace could not be read ({error.status.name})", field="temporal.address"
    )


def not_let_in(error: RPCError, settings: TemporalSettings) -> ConfigurationError | None:
    """The error for a server that does not let this process do what it asked; None for any other."""
    if error.status not in _NOT_LET_IN:
        return None
    field = "temporal.namespace" if settings.api_key is None else "temporal.api_key"
    return misconfigured(field, f"the server does not let this process in ({error.status.name})")


def schedule_failure(error: RPCError, settings: TemporalSettings) -> ServiceError:
    """Why the scan's schedule could not be made; the server's word on the expression is kept."""
    if error.status is RPCStatusCode.INVALID_ARGUMENT:
        said = "".join(each if each.isprintable() else " " for each in error.message)[:MAX_REASON_LENGTH]
        return misconfigured("scan.cron", f"Temporal refused it: {said}")
    return not_let_in(error, settings) or TemporalUnavailableError(
        f"the schedule could not be created or changed ({error.status.name})"
    )

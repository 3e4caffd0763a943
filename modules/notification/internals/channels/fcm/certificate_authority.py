"""Loads the operator's extra certificate authorities for the two TLS clients of the FCM channel."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from modules.notification.errors import ProviderConfigurationError

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def trusting_context(ca_file: Path) -> ssl.SSLContext:
    """A TLS context that trusts this host's authorities and those of the file.

    Raises ProviderConfigurationError when the file holds no certificate that can be read.
    """
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=ca_file)
    except OSError:
        reason = f"{ca_file}: holds no certificate that can be read"
        raise ProviderConfigurationError(
            code="fcm_ca_file_invalid", field="fcm.ca_file", reason=reason
        ) from None
    return context


def read_authorities(ca_file: Path) -> list[bytes]:
    """The certificates of the file in PEM, each by itself; raises as `trusting_context` does."""
    trusting_context(ca_file)
    return _CERTIFICATE.findall(ca_file.read_bytes())

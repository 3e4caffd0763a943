"""Asks a port whether it speaks TLS, for who got no word out of it without."""

from __future__ import annotations

import asyncio
import ssl


async def speaks_tls(host: str, port: int, *, seconds: float) -> bool:
    """True only if a TLS server answered; no certificate is looked at, and nothing is said to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLError as error:
        # It answered in TLS, and refused us: it wants a certificate, say.
        return "ALERT" in (error.reason or "")
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True

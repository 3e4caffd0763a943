"""Tells a wrong setting from a MongoDB that is away, where the driver found no server it could use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError as MongoConfigurationError
from pymongo.errors import InvalidURI, PyMongoError
from pymongo.server_description import ServerDescription
from pymongo.topology_description import TopologyDescription
from pymongo.uri_parser import split_options

from modules.application.errors import ConfigurationError, HostUnknownError, ServiceError, UnavailableError
from modules.application.tls_probe import speaks_tls

_URI = "mongodb.uri"
PROBE_SECONDS = 2.0
# What mongos says of itself in its hello.
_ROUTER = "isdbgrid"
# getaddrinfo's EAI_NONAME and EAI_NODATA; of the driver's error only the text is left.
_NO_SUCH_HOST = re.compile(r"\[Errno -(2|5)\]")
_TLS_FAILED = "SSL handshake failed"
_UNTRUSTED = "certificate verify failed"


def check_options(uri: str) -> None:
    """Raise ConfigurationError for an option that does not exist, which the driver would only warn of."""
    _, _, options = uri.partition("?")
    try:
        if options:
            split_options(options, validate=True, warn=False)
    except OSError as error:
        raise _wrong(f"names a file that cannot be read ({error.strerror})") from None
    except (MongoConfigurationError, InvalidURI, ValueError, TypeError):
        # The driver's words can hold what follows an unescaped character of the password.
        raise _wrong("has an option that does not exist, or a value that its option does not take") from None


def check_kind(hello: Mapping[str, Any]) -> None:
    """Raise ConfigurationError for a server alone, whose writes could not be repeated (`retryWrites`)."""
    if "setName" not in hello and hello.get("msg") != _ROUTER:
        raise _wrong("leads to a server that is no replica set: start it with --replSet, run rs.initiate()")


async def diagnose(client: AsyncMongoClient[dict[str, Any]], error: UnavailableError) -> ServiceError:
    """Why no server was found: UnavailableError unless a setting is to blame. Addresses are not told."""
    topology = client.topology_description
    if _is_another_set(topology):
        return _wrong("names a replica set (replicaSet) that none of its servers is a member of")
    servers = topology.server_descriptions().values()
    texts = [str(each.error) for each in servers if each.error is not None]
    if texts and len(texts) == len(servers):
        if all(_NO_SUCH_HOST.search(text) for text in texts):
            reason = "names a host that does not exist"
            return HostUnknownError(code="database_host_unknown", field=_URI, reason=reason)
        if any(_UNTRUSTED in text.lower() for text in texts):
            return _wrong("leads to a server whose certificate is not trusted (tlsCAFile), or is another's")
        for each in servers:
            if (wrong := await _wrong_about_tls(client, each)) is not None:
                return _wrong(wrong)
    return UnavailableError(code=error.code, field=_URI, reason=error.reason)


async def _wrong_about_tls(client: AsyncMongoClient[dict[str, Any]], server: ServerDescription) -> str | None:
    host, port = server.address
    if port is None:
        return None
    if _TLS_FAILED in str(server.error):
        plain = await _speaks_plainly(host, port)
        return "asks for TLS (tls=true) of a server that speaks none" if plain else None
    asks_for_tls = client.options.pool_options._ssl_context is not None
    if not asks_for_tls and await speaks_tls(host, port, seconds=PROBE_SECONDS):
        return "leads to a server that speaks TLS only (tls=true is missing)"
    return None


def _is_another_set(topology: TopologyDescription) -> bool:
    # The driver drops members of another set, and servers that are in none, from its description.
    return topology.topology_type_name == "ReplicaSetNoPrimary" and not topology.server_descriptions()


async def _speaks_plainly(host: str, port: int) -> bool:
    milliseconds = int(PROBE_SECONDS * 1000)
    async with AsyncMongoClient[dict[str, Any]](
        host, port, directConnection=True, tls=False, serverSelectionTimeoutMS=milliseconds
    ) as client:
        try:
            await client.admin.command("hello")
        except PyMongoError:
            return False
        return True


def _wrong(reason: str) -> ConfigurationError:
    return ConfigurationError(code="database_misconfigured", field=_URI, reason=reason)

"""Brings local mongods to be one replica set, of one or of several, whatever ports they had before."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pymongo import MongoClient
from pymongo.errors import ConfigurationError, InvalidURI, OperationFailure, PyMongoError

from local_stack.errors import ServerUnreachableError

REPLICA_SET = "rs0"
ANSWER_TIMEOUT_MS = 3000
# The default of ten seconds without a primary would be most of a test.
QUICK_ELECTIONS = {"electionTimeoutMillis": 2_000, "heartbeatIntervalMillis": 500}


def is_primary(host: str, port: int) -> bool:
    """True once the server is the primary under this address; if not, takes the next step towards it."""
    address = f"{host}:{port}"
    try:
        with _direct(host, port) as client:
            hello = client.admin.command("hello")
            if hello.get("isWritablePrimary"):
                return bool(hello.get("me") == address)
            if "setName" not in hello:
                _configure(client, address)
    except PyMongoError:
        return False
    return False


def is_member(host: str, port: int) -> bool:
    """True once the server takes part in its set, or waits to be told which one that is."""
    try:
        with _direct(host, port) as client:
            hello = client.admin.command("hello")
            if hello.get("isWritablePrimary") or hello.get("secondary"):
                return True
            config = client.local["system.replset"].find_one()
    except PyMongoError:
        return False
    return config is None or f"{host}:{port}" not in _hosts(config)


def join_members(host: str, ports: Sequence[int]) -> bool:
    """True once these servers are one set with a primary; if not, takes the next step towards it."""
    wanted = [f"{host}:{port}" for port in ports]
    try:
        states = [_state(host, port) for port in ports]
        if states.count("primary") == 1 and states.count("secondary") == len(ports) - 1:
            return True
        with _direct(host, ports[0]) as client:
            config = client.local["system.replset"].find_one()
            # AlreadyInitialized: the servers are still reading the configuration they have.
            with suppress(OperationFailure):
                if config is None:
                    members = [{"_id": number, "host": address} for number, address in enumerate(wanted)]
                    config = {"_id": REPLICA_SET, "members": members, "settings": QUICK_ELECTIONS}
                    client.admin.command("replSetInitiate", config)
                elif _hosts(config) != wanted:
                    _move(client, config, wanted)
    except PyMongoError:
        return False
    return False


def check_reachable(uri: str) -> None:
    """Raises ServerUnreachableError unless a replica set or sharded cluster answers at the URI."""
    try:
        with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=ANSWER_TIMEOUT_MS) as client:
            hello = client.admin.command("hello")
    except (InvalidURI, ConfigurationError, ValueError):
        # The driver's message repeats the URI, which holds the password.
        raise ServerUnreachableError("MONGODB_URI cannot be used", field="MONGODB_URI") from None
    except PyMongoError as error:
        raise ServerUnreachableError(
            f"the MongoDB that MONGODB_URI names does not answer ({type(error).__name__}):"
            " start it, or unset MONGODB_URI to have one started",
            field="MONGODB_URI",
        ) from None
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise ServerUnreachableError(
            "the MongoDB that MONGODB_URI names is no replica set: start mongod with --replSet",
            field="MONGODB_URI",
        )


def _direct(host: str, port: int) -> MongoClient[dict[str, Any]]:
    return MongoClient(host, port, directConnection=True, serverSelectionTimeoutMS=ANSWER_TIMEOUT_MS)


def _state(host: str, port: int) -> str:
    with _direct(host, port) as client:
        hello = client.admin.command("hello")
    if hello.get("isWritablePrimary"):
        return "primary"
    return "secondary" if hello.get("secondary") else "neither"


def _hosts(config: dict[str, Any]) -> list[str]:
    return [member["host"] for member in config["members"]]


def _configure(client: MongoClient[dict[str, Any]], address: str) -> None:
    config = client.local["system.replset"].find_one()
    # AlreadyInitialized: mongod is still reading the configuration it has.
    with suppress(OperationFailure):
        if config is None:
            members = [{"_id": 0, "host": address}]
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
        elif config["members"][0]["host"] != address:
            _move(client, config, [address])


def _move(client: MongoClient[dict[str, Any]], config: dict[str, Any], addresses: Sequence[str]) -> None:
    # Kept data on other ports: the set waits for its old addresses until it is told, by force.
    for member, address in zip(config["members"], addresses, strict=True):
        member["host"] = address
    config["version"] += 1
    client.admin.command("replSetReconfig", config, force=True)

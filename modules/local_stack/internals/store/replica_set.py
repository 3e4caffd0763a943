"""Brings a local mongod to be the primary of its own replica set, whatever port it had before."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from pymongo import MongoClient
from pymongo.errors import ConfigurationError, InvalidURI, OperationFailure, PyMongoError

from modules.local_stack.errors import ServerUnreachableError

REPLICA_SET = "rs0"
ANSWER_TIMEOUT_MS = 3000


def is_primary(host: str, port: int) -> bool:
    """True once the server is the primary under this address; if not, takes the next step towards it."""
    address = f"{host}:{port}"
    try:
        with MongoClient[dict[str, Any]](
            host, port, directConnection=True, serverSelectionTimeoutMS=ANSWER_TIMEOUT_MS
        ) as client:
            hello = client.admin.command("hello")
            if hello.get("isWritablePrimary"):
                return bool(hello.get("me") == address)
            if "setName" not in hello:
                _configure(client, address)
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


def _configure(client: MongoClient[dict[str, Any]], address: str) -> None:
    config = client.local["system.replset"].find_one()
    # AlreadyInitialized: mongod is still reading the configuration it has.
    with suppress(OperationFailure):
        if config is None:
            members = [{"_id": 0, "host": address}]
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
        elif config["members"][0]["host"] != address:
            # Kept data on another port: the set waits for its old address until it is told, by force.
            config["members"][0]["host"] = address
            config["version"] += 1
            client.admin.command("replSetReconfig", config, force=True)

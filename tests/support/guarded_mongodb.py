"""A real mongod that asks for passwords: a replica set of one, with users as an operator gives them."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from local_stack.internals.free_ports import LOOPBACK, PortChooser
from local_stack.internals.mongodb_server import find_mongod
from local_stack.internals.process_spawner import SpawnRequest, spawn
from local_stack.internals.server_environment import server_environment
from local_stack.types import StackPorts
from tests.support.servers import eventually

REPLICA_SET = "rs0"
PASSWORD = "xyzzy-of-a-user"
ADMINISTRATOR = "administrator"
START_SECONDS = 60.0
STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedMongodb:
    """`add_user` gives a user its roles on databases; `uri` is what a setting says of it."""

    port: int

    def uri(self, user: str, *, password: str = PASSWORD, replica_set: str = REPLICA_SET) -> str:
        return f"mongodb://{user}:{password}@{LOOPBACK}:{self.port}/?replicaSet={replica_set}"

    def add_user(self, name: str, **roles: tuple[str, ...]) -> str:
        """A user with the named roles on each database; returns its address."""
        granted = [{"role": role, "db": database} for database, many in roles.items() for role in many]
        with MongoClient[dict[str, Any]](self.uri(ADMINISTRATOR)) as client:
            client.admin.command("createUser", name, pwd=PASSWORD, roles=granted)
        return self.uri(name)


@contextmanager
def guarded_mongodb(folder: Path) -> Iterator[GuardedMongodb]:
    """Runs for the length of the block; all of it is in `folder`."""
    port = PortChooser(StackPorts(), {}, lambda _: None).choose("mongodb")
    data, key = folder / "data", folder / "key"
    data.mkdir(parents=True)
    key.write_bytes(base64.b64encode(secrets.token_bytes(96)))
    key.chmod(0o600)
    command = (
        *(str(find_mongod()), "--replSet", REPLICA_SET, "--bind_ip", LOOPBACK, "--port", str(port)),
        *("--dbpath", str(data), "--keyFile", str(key), "--nounixsocket", "--quiet"),
        *("--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64"),
    )
    with (folder / "log").open("wb") as log:
        request = SpawnRequest(
            command=command,
            environment=server_environment(temporary=folder, run_id=folder.name),
            working_folder=folder,
            stdout=log,
            stderr=log,
        )
        process = spawn(request)
        try:
            eventually(lambda: _is_prepared(port), within_seconds=START_SECONDS)
            yield GuardedMongodb(port=port)
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def _is_prepared(port: int) -> bool:
    """Takes the next step: the set, then, as the localhost exception permits once, its first user."""
    with (
        suppress(PyMongoError),
        MongoClient[dict[str, Any]](
            LOOPBACK, port, directConnection=True, serverSelectionTimeoutMS=1000
        ) as client,
    ):
        hello = client.admin.command("hello")
        if "setName" not in hello:
            members = [{"_id": 0, "host": f"{LOOPBACK}:{port}"}]
            with suppress(OperationFailure):
                client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
        elif hello.get("isWritablePrimary"):
            client.admin.command("createUser", ADMINISTRATOR, pwd=PASSWORD, roles=["root"])
            return True
    return False

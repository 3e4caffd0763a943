"""What tests do to a replica set of several servers: step its primary down, pause and kill its members."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, PyMongoError

from local_stack.local_stack_service import LocalStack
from local_stack.types import ServerHandle
from tests.support.servers import eventually

ANSWER_TIMEOUT_MS = 2_000
PRIMARY_WITHIN_SECONDS = 30.0
# A primary that steps down waits so long for a secondary that has everything it has.
CATCH_UP_SECONDS = 5


class MongodbNodes:
    """The members of a stack that was started with `mongodb_nodes` above 1, by the names of its servers."""

    def __init__(self, stack: LocalStack) -> None:
        self.servers: dict[str, ServerHandle] = {
            name: server for name, server in stack.servers.items() if name.startswith("mongodb")
        }
        hosts = stack.mongodb_uri.removeprefix("mongodb://").partition("/")[0].split(",")
        self._ports = {
            name: int(host.rpartition(":")[2]) for name, host in zip(sorted(self.servers), hosts, strict=True)
        }

    def primary(self) -> str | None:
        """The member that is primary and answers; None while there is none."""
        return next((name for name in self._ports if self._is_primary(name)), None)

    def wait_for_primary(self, *, other_than: str | None = None) -> str:
        """The primary once there is one; `other_than` may still believe that it is it."""
        found: list[str] = []

        def there() -> bool:
            found[:] = [n for n in self._ports if n != other_than and self._is_primary(n)]
            return bool(found)

        eventually(there, within_seconds=PRIMARY_WITHIN_SECONDS)
        return found[0]

    def step_down(self, *, seconds: int = 10, force: bool = False) -> str:
        """Make the primary step down, and stay so for `seconds`; returns its name at once.

        With `force` it does not wait until a secondary has everything that it has.
        """
        name = self.wait_for_primary()
        command: dict[str, Any] = {"replSetStepDown": seconds, "force": force}
        command["secondaryCatchUpPeriodSecs"] = 0 if force else min(seconds - 1, CATCH_UP_SECONDS)
        with self._direct(name) as client, suppress(AutoReconnect):
            client.admin.command(command)
        return name

    def pause(self, name: str) -> None:
        """SIGSTOP; `resume` it, or stop the stack."""
        os.kill(self.servers[name].pid, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        os.kill(self.servers[name].pid, signal.SIGCONT)

    def _is_primary(self, name: str) -> bool:
        try:
            with self._direct(name) as client:
                return bool(client.admin.command("hello").get("isWritablePrimary"))
        except PyMongoError:
            return False

    def _direct(self, name: str) -> MongoClient[dict[str, Any]]:
        return MongoClient(
            "127.0.0.1",
            self._ports[name],
            directConnection=True,
            serverSelectionTimeoutMS=ANSWER_TIMEOUT_MS,
            socketTimeoutMS=(CATCH_UP_SECONDS + 5) * 1_000,
            connectTimeoutMS=ANSWER_TIMEOUT_MS,
        )

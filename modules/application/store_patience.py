"""Waits out what passes by itself, as an election of a new primary: the one place where stores repeat."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ServerSelectionTimeoutError

from modules.application.errors import UnavailableError
from modules.application.mongo_errors import DRIVER_ERRORS, service_error

ResultT = TypeVar("ResultT")

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
# Where the URI, or the driver's default, sets no bound on one operation.
DEFAULT_SECONDS = 20.0


class StorePatience:
    """Repeats operations on one database until they succeed, are refused, or the time is up.

    The time is `mongodb.operation_timeout_seconds`: no attempt begins after it. A set of which no member
    answers is not waited for beyond the driver's own search. Errors are those of `service_error`; an
    UnavailableError says that a write may have happened if any of its attempts may have.
    """

    def __init__(self, database: AsyncDatabase[dict[str, Any]]) -> None:
        self._client = database.client
        self._seconds = self._client.options.pool_options.socket_timeout or DEFAULT_SECONDS

    async def repeated(self, operation: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """For reads, and for writes that may land twice: whatever became of an attempt, another follows."""
        return await self._waited_out(operation, safe_twice=True)

    async def once(self, operation: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """For writes that must not land twice: repeated only after attempts that did certainly not land."""
        return await self._waited_out(operation, safe_twice=False)

    async def _waited_out(self, operation: Callable[[], Awaitable[ResultT]], *, safe_twice: bool) -> ResultT:
        deadline = time.monotonic() + self._seconds
        pause = FIRST_PAUSE_SECONDS
        may_have_happened = False
        while True:
            try:
                return await operation()
            except DRIVER_ERRORS as error:
                failure = service_error(error)
                if not isinstance(failure, UnavailableError):
                    raise failure from None
                may_have_happened |= failure.may_have_happened
                failure.may_have_happened = may_have_happened
                may_repeat = safe_twice or not may_have_happened
                if not may_repeat or time.monotonic() > deadline or self._nobody_answers(error):
                    raise failure from None
            # Jitter needs no cryptographic randomness.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _nobody_answers(self, error: Exception) -> bool:
        """Whether the driver looked for a server in vain, and none of the set is there at all."""
        if not isinstance(error, ServerSelectionTimeoutError):
            return False
        servers = self._client.topology_description.server_descriptions().values()
        return not any(server.is_server_type_known for server in servers)

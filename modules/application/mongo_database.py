"""Opens MongoDB for one event loop and knows the database's clock."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConfigurationError as MongoConfigurationError
from pymongo.errors import InvalidURI
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from modules.application.errors import ConfigurationError, UnavailableError
from modules.application.repository import Document, database_errors
from modules.config.types import MongoSettings

CLOCK_REFRESH_SECONDS = 30.0
# More than one process delivers at once, fewer than would help MongoDB.
MAX_CONNECTIONS = 200


class MongoDatabase:
    """The service's database: majority writes, aware UTC datetimes, one client for one event loop."""

    def __init__(self, settings: MongoSettings) -> None:
        try:
            self._client: AsyncMongoClient[Document] = AsyncMongoClient(
                settings.uri.get_secret_value(),
                tz_aware=True,
                retryWrites=True,
                retryReads=True,
                serverSelectionTimeoutMS=int(settings.server_selection_timeout_seconds * 1000),
                # Not timeoutMS: under it the driver repeats server selection until that time is up.
                connectTimeoutMS=int(settings.server_selection_timeout_seconds * 1000),
                socketTimeoutMS=int(settings.operation_timeout_seconds * 1000),
                maxPoolSize=MAX_CONNECTIONS,
                waitQueueTimeoutMS=int(settings.operation_timeout_seconds * 1000),
                appname="notification-service",
            )
        except (InvalidURI, MongoConfigurationError, ValueError):
            # The driver's message repeats the URI, which holds the password.
            raise ConfigurationError(
                code="database_misconfigured", field="mongodb.uri", reason="the MongoDB URI cannot be used"
            ) from None
        self.database: AsyncDatabase[Document] = self._client.get_database(
            settings.database, write_concern=WriteConcern("majority"), read_concern=ReadConcern("local")
        )
        self.clock = DatabaseClock(self._client)

    async def ping(self) -> dict[str, Any]:
        """Ask the server for its `hello` document; raises UnavailableError when it does not answer."""
        async with database_errors():
            return await self._client.admin.command("hello")

    async def close(self) -> None:
        await self._client.close()


class DatabaseClock:
    """The database's time, as seen from here: leases, expiry and due times never use the worker's own clock.

    The offset is measured with `hello` against the monotonic clock, so a step of the host's clock does not
    move it, and renewed every CLOCK_REFRESH_SECONDS.
    """

    def __init__(self, client: AsyncMongoClient[Document]) -> None:
        self._client = client
        self._lock = asyncio.Lock()
        self._measured_at: datetime | None = None
        self._measured_monotonic = float("-inf")

    async def now(self) -> datetime:
        """The database's time, aware and UTC.

        Raises UnavailableError when it could not be read yet; read once, it goes on while MongoDB is away.
        """
        if self._is_stale():
            async with self._lock:
                if self._is_stale():
                    await self._refresh()
        assert self._measured_at is not None
        return self._measured_at + timedelta(seconds=time.monotonic() - self._measured_monotonic)

    def _is_stale(self) -> bool:
        return time.monotonic() - self._measured_monotonic > CLOCK_REFRESH_SECONDS

    async def _refresh(self) -> None:
        try:
            await self._measure()
        except UnavailableError:
            if self._measured_at is None:
                raise

    async def _measure(self) -> None:
        before = time.monotonic()
        async with database_errors():
            hello = await self._client.admin.command("hello")
        after = time.monotonic()
        local_time: datetime = hello["localTime"]
        self._measured_at = local_time if local_time.tzinfo else local_time.replace(tzinfo=UTC)
        self._measured_monotonic = (before + after) / 2

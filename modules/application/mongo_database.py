"""Opens MongoDB for one event loop and knows the database's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConfigurationError as MongoConfigurationError
from pymongo.errors import InvalidURI
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from modules.application.errors import ConfigurationError, UnavailableError
from modules.application.mongo_diagnosis import check_kind, check_options, diagnose
from modules.application.repository import Document, database_errors
from modules.application.steady_clock import steady_seconds
from modules.config.types import MongoSettings

CLOCK_REFRESH_SECONDS = 30.0
# After a refresh that failed or was too slow to count.
CLOCK_RETRY_SECONDS = 5.0
CLOCK_SAMPLES = 3
QUICK_ANSWER_SECONDS = 0.05
SLOW_ANSWER_SECONDS = 1.0
# BSON dates count milliseconds.
CLOCK_RESOLUTION_SECONDS = 0.001
# More than one process delivers at once, fewer than would help MongoDB.
MAX_CONNECTIONS = 200


class _UnforkedClient(AsyncMongoClient[Document]):
    """A client that a forked child leaves as it is: it is the parent's, the child opens its own."""

    def _after_fork(self) -> None:
        # The driver would drop the connections (4.20, `AsyncMongoClient._after_fork`), under a loop and in
        # a process that are not theirs.
        return


class MongoDatabase:
    """The service's database: majority writes, aware UTC datetimes, one client for one event loop."""

    def __init__(self, settings: MongoSettings) -> None:
        check_options(settings.uri.get_secret_value())
        try:
            self._client: AsyncMongoClient[Document] = _UnforkedClient(
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
        except (InvalidURI, MongoConfigurationError, ValueError, OSError):
            # The driver's message repeats the URI, which holds the password.
            raise ConfigurationError(
                code="database_misconfigured", field="mongodb.uri", reason="the MongoDB URI cannot be used"
            ) from None
        self.database: AsyncDatabase[Document] = self._client.get_database(
            settings.database, write_concern=WriteConcern("majority"), read_concern=ReadConcern("local")
        )
        self.clock = DatabaseClock(self._client)

    async def ping(self) -> dict[str, Any]:
        """Ask the server for its `hello` document.

        Raises UnavailableError when it does not answer, ConfigurationError when that is due to a setting.
        """
        try:
            async with database_errors():
                hello: dict[str, Any] = await self._client.admin.command("hello")
        except UnavailableError as error:
            raise await diagnose(self._client, error) from None
        check_kind(hello)
        return hello

    async def check_access(self) -> None:
        """Raise ConfigurationError unless the user may look at the database's collections."""
        async with database_errors():
            await self.database.list_collections()

    async def close(self) -> None:
        await self._client.close()


@dataclass(frozen=True, slots=True)
class ClockSample:
    """The database's time at a moment of the steady clock; wrong by half the round trip at the most."""

    database_time: datetime
    monotonic: float
    round_trip_seconds: float

    def time_at(self, monotonic: float) -> datetime:
        return self.database_time + timedelta(seconds=monotonic - self.monotonic)

    def agrees_with(self, other: ClockSample) -> bool:
        """Whether both can be right."""
        apart = abs(self.time_at(other.monotonic) - other.database_time)
        most_seconds = (self.round_trip_seconds + other.round_trip_seconds) / 2 + CLOCK_RESOLUTION_SECONDS
        return apart <= timedelta(seconds=most_seconds)


class DatabaseClock:
    """The database's time, as seen from here: leases, expiry and due times never use the worker's own clock.

    The offset is measured with `hello` against the steady clock, so neither a step of the host's clock nor
    its sleep moves it, and renewed every CLOCK_REFRESH_SECONDS. The quickest of up to CLOCK_SAMPLES answers
    counts; one that took longer than SLOW_ANSWER_SECONDS does not replace an older one which it does not
    contradict.
    """

    def __init__(
        self, client: AsyncMongoClient[Document], *, steady: Callable[[], float] = steady_seconds
    ) -> None:
        self._client = client
        self._steady = steady
        self._lock = asyncio.Lock()
        self._sample: ClockSample | None = None
        self._refresh_at = float("-inf")

    async def now(self) -> datetime:
        """The database's time, aware and UTC.

        Raises UnavailableError when it could not be read yet; read once, it goes on while MongoDB is away.
        """
        if self._is_stale():
            async with self._lock:
                if self._is_stale():
                    await self._refresh()
        return self.estimate()

    def estimate(self) -> datetime:
        """The same without asking MongoDB, by the last answer; only after `now` has returned once."""
        assert self._sample is not None
        return self._sample.time_at(self._steady())

    def _is_stale(self) -> bool:
        return self._steady() > self._refresh_at

    async def _refresh(self) -> None:
        known = self._sample
        try:
            best = await self._best_sample()
        except UnavailableError:
            if known is None:
                raise
            self._refresh_at = self._steady() + CLOCK_RETRY_SECONDS
            return
        if known is not None and best.round_trip_seconds > SLOW_ANSWER_SECONDS and known.agrees_with(best):
            self._refresh_at = self._steady() + CLOCK_RETRY_SECONDS
            return
        self._sample = best
        self._refresh_at = best.monotonic + CLOCK_REFRESH_SECONDS

    async def _best_sample(self) -> ClockSample:
        best = await self._measure()
        for _ in range(CLOCK_SAMPLES - 1):
            if best.round_trip_seconds < QUICK_ANSWER_SECONDS:
                break
            # One answer is enough, whatever becomes of the others.
            with suppress(UnavailableError):
                best = min(best, await self._measure(), key=lambda sample: sample.round_trip_seconds)
        return best

    async def _measure(self) -> ClockSample:
        before = self._steady()
        async with database_errors():
            hello = await self._client.admin.command("hello")
        after = self._steady()
        local_time: datetime = hello["localTime"]
        return ClockSample(
            database_time=local_time if local_time.tzinfo else local_time.replace(tzinfo=UTC),
            monotonic=(before + after) / 2,
            round_trip_seconds=after - before,
        )

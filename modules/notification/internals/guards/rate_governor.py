"""Hands out permits to send: one rate a credential, shared by all processes through MongoDB."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial

from modules.application.errors import UnavailableError
from modules.application.mongo_database import DatabaseClock
from modules.application.steady_clock import steady_seconds
from modules.notification.internals.domain.rate_quota import RateLimits, RateQuota
from modules.notification.internals.guards.rate_credential import CredentialRate
from modules.notification.internals.store.rate_quota_repository import RateQuotaRepository

# A pause that another process was told to keep is known here within this time, also after a quiet hour.
PAUSE_KNOWN_SECONDS = 1.0


class RateGovernor:
    """This process's share of each credential's rate; belongs to one event loop and is called on it.

    `app_ids` are the apps with credentials.
    Rows ask `acquire` for permits before they are sent; immediate messages ask `paused_seconds`, are sent
    without waiting, and are told to `spend`.
    """

    def __init__(
        self,
        repository: RateQuotaRepository,
        clock: DatabaseClock,
        limits: RateLimits,
        *,
        app_ids: Collection[str],
        monotonic: Callable[[], float] = steady_seconds,
    ) -> None:
        self._open = partial(
            CredentialRate, repository=repository, clock=clock, quota=RateQuota(limits), monotonic=monotonic
        )
        self._credentials: dict[str, CredentialRate] = {}
        self._repository = repository
        self._clock = clock
        self._app_ids = app_ids
        self._monotonic = monotonic
        self._learning: asyncio.Task[None] | None = None
        self._learnt_at = -math.inf

    async def acquire(self, app_id: str, *, flow: str, wanted: int) -> int:
        """Wait until at least one message of `flow` may be sent; returns how many, from 1 to `wanted`.

        Permits are for sending at once; those that are not used go back by `give_back`. Raises
        UnavailableError while MongoDB does not answer and when the governor is closed, ValueError when
        nothing is wanted.
        """
        credential = self._credential(app_id)
        return credential.take(flow, wanted) or await credential.wait(flow, wanted)

    def give_back(self, app_id: str, *, flow: str, count: int) -> None:
        """Return permits that were not used."""
        self._credential(app_id).give_back(flow, count)

    async def learn_pauses(self) -> None:
        """Read the pauses of the apps unless that was done within PAUSE_KNOWN_SECONDS.

        What MongoDB does not answer stays as it was known.
        """
        if self._monotonic() < self._learnt_at + PAUSE_KNOWN_SECONDS:
            return
        if self._learning is None or self._learning.done():
            self._learning = asyncio.create_task(self._learn(), name="learn-pauses")
        # Shared: one question answers everybody who asks meanwhile, and outlives the one who asked first.
        await asyncio.shield(self._learning)

    async def _learn(self) -> None:
        asked = self._monotonic()
        with suppress(UnavailableError):
            now = await self._clock.now()
            for app_id, until in (await self._repository.pauses(self._app_ids, after=now)).items():
                self._credential(app_id).learn_pause((until - now).total_seconds())
            self._learnt_at = asked

    def spend(self, app_id: str, count: int) -> None:
        """Take `count` immediate messages off the shared rate, within FLUSH_SECONDS in the background."""
        self._credential(app_id).spend(count)

    def pause(self, app_id: str, seconds: float, code: str) -> None:
        """Stop `acquire` for `seconds`: here at once, elsewhere with the next chunk once it is written."""
        self._credential(app_id).pause(seconds, code)

    def paused_seconds(self, app_id: str) -> float:
        """What is left of a pause, as known here since the last chunk or flush; 0 when there is none."""
        credential = self._credentials.get(app_id)
        return 0.0 if credential is None else credential.paused_seconds()

    async def close(self) -> None:
        """Give back what is left and write what is tallied; what MongoDB does not take now is lost."""
        await asyncio.gather(*(credential.close() for credential in self._credentials.values()))

    def _credential(self, app_id: str) -> CredentialRate:
        credential = self._credentials.get(app_id)
        if credential is None:
            credential = self._credentials[app_id] = self._open(app_id)
        return credential

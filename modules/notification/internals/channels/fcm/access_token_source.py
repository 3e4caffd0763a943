"""Keeps one app's access token fresh: fetched once for all who wait, renewed before it runs out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from modules.application.errors import ServiceError
from modules.application.steady_clock import steady_seconds
from modules.notification.errors import ProviderRefusedError, ProviderUnavailableError
from modules.notification.internals.channels.fcm.service_account import ServiceAccount, load_service_account
from modules.notification.internals.channels.fcm.token_endpoint import TokenEndpoint

# Google's tokens last an hour; they are renewed in the background while the old one still works.
RENEW_BEFORE_SECONDS = 300.0
UNUSABLE_BEFORE_SECONDS = 15.0
# For a server that does not say how long its tokens live, or says nonsense.
DEFAULT_LIFETIME_SECONDS = 600.0
# A server that fails is not asked more often, nor a token replaced whose successor was refused too.
PAUSE_AFTER_FAILURE_SECONDS = 1.0
PAUSE_AFTER_REPLACEMENT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a request needs of an account; the token stays out of `repr`. Times are of the source's clock."""

    project_id: str
    token: str = field(repr=False)
    renew_at: float
    unusable_at: float


class AccessTokenSource:
    """Hands out one app's access. Lives on one event loop; the file and the server are asked in a thread.

    The file is read when first needed and again after a refusal, so a mended or rotated key is picked up.
    """

    def __init__(
        self,
        *,
        credentials_path: Path,
        project_id: str | None,
        settings_field: str,
        endpoint: TokenEndpoint,
        timeout_seconds: float,
        clock: Callable[[], float] = steady_seconds,
    ) -> None:
        self._path = credentials_path
        self._project_id = project_id
        self._field = settings_field
        self._endpoint = endpoint
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._account: ServiceAccount | None = None
        self._access: Access | None = None
        self._renewal: asyncio.Task[Access] | None = None
        self._failure: tuple[float, ServiceError] | None = None
        self._replaced_at: float | None = None

    async def access(self) -> Access:
        """A token that lasts long enough to be used; fetched if need be.

        Raises ProviderConfigurationError, ProviderRefusedError or ProviderUnavailableError.
        """
        access, now = self._access, self._clock()
        if access is None or self.has_run_out(access):
            self._raise_recent_failure(now)
            return await self._renewed()
        if now >= access.renew_at and not self._failed_recently(now):
            self._start_renewal()
        return access

    async def replacement(self, refused: Access) -> Access | None:
        """Another token after FCM refused this one; None when its successor was refused just as well.

        Raises as `access` does.
        """
        if self._access is not refused or self.has_run_out(refused):
            return await self.access()
        if self._renewal is None or self._renewal.done():
            now = self._clock()
            if self._replaced_at is not None and now - self._replaced_at < PAUSE_AFTER_REPLACEMENT_SECONDS:
                return None
            self._raise_recent_failure(now)
            self._replaced_at = now
        return await self._renewed()

    def has_run_out(self, access: Access) -> bool:
        """Whether the token is too old to be used now; that one is refused says nothing of the account."""
        return self._clock() >= access.unusable_at

    async def close(self) -> None:
        """Stop renewing."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])

    async def _renewed(self) -> Access:
        # Shielded: one sender that gives up must not take the token from the others.
        return await asyncio.shield(self._start_renewal())

    def _start_renewal(self) -> asyncio.Task[Access]:
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew())
            # Retrieved here as well: a renewal in the background has nobody else to raise to.
            self._renewal.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._renewal

    async def _renew(self) -> Access:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                self._access = await asyncio.to_thread(self._fetch)
        except TimeoutError:
            error: ServiceError = ProviderUnavailableError(
                code="fcm_token_server_unreachable",
                field=self._field,
                reason="the token server cannot be reached (no answer in time)",
            )
        except ServiceError as failure:
            error = failure
        else:
            self._failure = None
            return self._access
        if isinstance(error, ProviderRefusedError):
            self._account = self._access = None
        self._failure = (self._clock(), error)
        raise error

    def _fetch(self) -> Access:
        account = self._account or load_service_account(
            self._path, project_id=self._project_id, field=self._field
        )
        asked = self._clock()
        grant = self._endpoint.grant(account)
        self._account = account
        lifetime = grant.lifetime_seconds
        if lifetime is None or lifetime <= 0:
            lifetime = DEFAULT_LIFETIME_SECONDS
        return Access(
            project_id=account.project_id,
            token=grant.token,
            renew_at=asked + max(lifetime - RENEW_BEFORE_SECONDS, lifetime / 2),
            # What is sent takes a moment to arrive, of which a short life must leave some.
            unusable_at=asked + lifetime - min(UNUSABLE_BEFORE_SECONDS, lifetime / 2),
        )

    def _failed_recently(self, now: float) -> bool:
        return self._failure is not None and now - self._failure[0] < PAUSE_AFTER_FAILURE_SECONDS

    def _raise_recent_failure(self, now: float) -> None:
        if self._failure is not None and self._failed_recently(now):
            raise self._failure[1]

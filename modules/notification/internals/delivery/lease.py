"""Keeps the leases of claimed rows while they are delivered, and knows when they can no longer be trusted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from bson import ObjectId

from modules.application.errors import ServiceError
from modules.application.steady_clock import steady_seconds
from modules.logger.logger_service import get_logger
from modules.notification.internals.store.push_notification_model import PushNotificationModel
from modules.notification.internals.store.rows.row_claim_repository import RowClaimRepository

RENEWALS_PER_LEASE = 3
# A delivery that hangs lets go of its rows; its own patience with MongoDB is shorter.
MAX_CLAIM_SECONDS = 600.0
_log = get_logger()


class Lease:
    """The claim on some rows. `held()` is asked right before every send.

    The end is kept on the steady clock from before the claim was written, so it is never later than the
    database's, also after the process was stopped (SIGSTOP), the host slept, or its clock was set.
    """

    def __init__(
        self,
        *,
        claim_id: str,
        rows: Collection[PushNotificationModel],
        lease_seconds: float,
        claimed_at: float,
        clock: Callable[[], float] = steady_seconds,
    ) -> None:
        """`claimed_at`: seconds of `clock`."""
        self.claim_id = claim_id
        self.row_ids = {row.id for row in rows}
        self._lease_seconds = lease_seconds
        self._ends = claimed_at + lease_seconds
        self._clock = clock
        self._ending: set[ObjectId] = set()

    def held(self) -> bool:
        """Whether nobody else can have claimed the rows yet."""
        return self._clock() < self._ends

    def extend(self, renewed_at: float) -> None:
        self._ends = renewed_at + self._lease_seconds

    def renewed(self, count: int, renewed_at: float) -> None:
        """`count` rows were still ours at a renewal; those being ended may have been ended meanwhile."""
        if count >= len(self.row_ids - self._ending):
            self.extend(renewed_at)
        else:
            self._ends = float("-inf")
            _log.warning("claim lost to another worker", action="lease.lost")

    @contextmanager
    def ending(self, rows: Collection[PushNotificationModel]) -> Iterator[None]:
        """While outcomes of these rows are written: afterwards they are not ours to renew."""
        ids = frozenset(row.id for row in rows)
        self._ending |= ids
        try:
            yield
            self.row_ids -= ids
        finally:
            self._ending -= ids


@asynccontextmanager
async def kept_lease(
    claims: RowClaimRepository,
    rows: Sequence[PushNotificationModel],
    *,
    lease_seconds: float,
    claimed_at: float,
) -> AsyncIterator[Lease]:
    """Renew the claim of `rows`, all of one claim, until the block is left; `claimed_at` is steady time."""
    claim = rows[0].claim
    assert claim is not None
    lease = Lease(claim_id=claim.id, rows=rows, lease_seconds=lease_seconds, claimed_at=claimed_at)
    left = asyncio.Event()
    renewing = asyncio.create_task(_renew(claims, lease, lease_seconds, left))
    try:
        yield lease
    finally:
        # Not cancelled: the driver can lose a cancellation, and its connection with it.
        left.set()
        await renewing


async def _renew(claims: RowClaimRepository, lease: Lease, lease_seconds: float, left: asyncio.Event) -> None:
    last = steady_seconds() + MAX_CLAIM_SECONDS
    while (
        lease.held()
        and steady_seconds() < last
        and not await _within(lease_seconds / RENEWALS_PER_LEASE, left)
    ):
        if not lease.row_ids:
            continue
        asked = steady_seconds()
        try:
            kept = await claims.renew(
                list(lease.row_ids), claim_id=lease.claim_id, lease_seconds=lease_seconds
            )
        except ServiceError as error:
            # The lease still runs; held() says for how long sending is safe.
            _log.warning("lease not renewed", action="lease.renewal_failed", code=error.code)
            continue
        lease.renewed(kept, asked)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Wait for the event at most so long; whether it came."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True

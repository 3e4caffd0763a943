"""Keeps the leases of claimed rows while they are delivered, and knows when they can no longer be trusted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from modules.application.errors import ServiceError
from modules.logger.logger_service import get_logger
from modules.notification.internals.push_notification_writer import PushNotificationWriter
from modules.notification.internals.store.push_notification_model import PushNotificationModel

RENEWALS_PER_LEASE = 3
# A delivery that hangs lets go of its rows; its own patience with MongoDB is shorter.
MAX_CLAIM_SECONDS = 600.0
_log = get_logger()


class Lease:
    """The claim on some rows. `held()` is asked right before every send.

    The end is kept on the monotonic clock from before the claim was written, so it is never later than the
    database's, also after the process was stopped (SIGSTOP) or the host's clock was set.
    """

    def __init__(self, *, claim_id: str, lease_seconds: float, claimed_monotonic: float) -> None:
        self.claim_id = claim_id
        self._lease_seconds = lease_seconds
        self._ends = claimed_monotonic + lease_seconds
        self._ending = False

    def held(self) -> bool:
        """Whether nobody else can have claimed the rows yet."""
        return time.monotonic() < self._ends

    def extend(self, renewed_monotonic: float) -> None:
        self._ends = renewed_monotonic + self._lease_seconds

    def lose(self) -> None:
        """Somebody else may own the rows, unless we are giving them back right now."""
        if not self._ending:
            self._ends = float("-inf")
            _log.warning("claim lost to another worker", action="lease.lost")

    @contextmanager
    def ending(self) -> Iterator[None]:
        """While outcomes are written: rows that are no longer ours to renew are no surprise."""
        self._ending = True
        try:
            yield
        except BaseException:
            self._ending = False
            raise


@asynccontextmanager
async def kept_lease(
    writer: PushNotificationWriter,
    rows: Sequence[PushNotificationModel],
    *,
    lease_seconds: float,
    claimed_monotonic: float,
) -> AsyncIterator[Lease]:
    """Renew the claim of `rows`, all of one claim, until the block is left."""
    claim = rows[0].claim
    assert claim is not None
    lease = Lease(claim_id=claim.id, lease_seconds=lease_seconds, claimed_monotonic=claimed_monotonic)
    left = asyncio.Event()
    renewing = asyncio.create_task(_renew(writer, rows, lease, lease_seconds, left))
    try:
        yield lease
    finally:
        # Not cancelled: the driver can lose a cancellation, and its connection with it.
        left.set()
        await renewing


async def _renew(
    writer: PushNotificationWriter,
    rows: Sequence[PushNotificationModel],
    lease: Lease,
    lease_seconds: float,
    left: asyncio.Event,
) -> None:
    row_ids = [row.id for row in rows]
    last = time.monotonic() + MAX_CLAIM_SECONDS
    while (
        lease.held()
        and time.monotonic() < last
        and not await _within(lease_seconds / RENEWALS_PER_LEASE, left)
    ):
        asked = time.monotonic()
        try:
            kept = await writer.renew(row_ids, claim_id=lease.claim_id, lease_seconds=lease_seconds)
        except ServiceError as error:
            # The lease still runs; held() says for how long sending is safe.
            _log.warning("lease not renewed", action="lease.renewal_failed", code=error.code)
            continue
        if kept < len(row_ids):
            lease.lose()
            return
        lease.extend(asked)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Wait for the event at most so long; whether it came."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True

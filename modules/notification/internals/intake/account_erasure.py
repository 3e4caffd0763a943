"""Forgets what an account was told: rows leave delivery first, then their content goes."""

from __future__ import annotations

import asyncio
import time

from modules.account.types import account_id_problems
from modules.application.param_rules import ProblemList
from modules.notification.internals.delivery.row_outcome import FRESH_SECONDS
from modules.notification.internals.store.rows.row_erasure import PushNotificationErasure
from modules.notification.types import NotificationErasure

CLAIM_POLL_SECONDS = 0.1
# When what a delivery knows is older than that, it looks again at whom it may send to, and finds nobody.
HEEDED_SECONDS = 2 * FRESH_SECONDS


class AccountErasure:
    """Lives on one event loop. Safe to repeat. Raises UnavailableError when MongoDB does not answer."""

    def __init__(self, rows: PushNotificationErasure, *, patience_seconds: float) -> None:
        self._rows = rows
        self._patience_seconds = patience_seconds

    async def erase(self, account_id: str) -> NotificationErasure:
        """Empty the account's rows; of one whose devices are gone, none sends anything afterwards.

        Rows that are being sent may end for `patience_seconds`; then they are taken from who sends them, so
        that no outcome which comes later brings anything back.
        """
        problems = ProblemList()
        problems.extend(account_id_problems(account_id, field="account_id"))
        problems.refuse()
        withdrawn = await self._wait_until_nothing_is_sent(account_id)
        interrupted = await self._rows.interrupt(account_id)
        withdrawn += await self._rows.withdraw(account_id)
        # Claimed between the two; without devices, such a row does not become pending again.
        interrupted += await self._rows.interrupt(account_id)
        if interrupted:
            await asyncio.sleep(HEEDED_SECONDS)
        erased = await self._rows.erase(account_id)
        return NotificationErasure(erased=erased, withdrawn=withdrawn, interrupted=interrupted)

    async def _wait_until_nothing_is_sent(self, account_id: str) -> int:
        """Returns how many rows were taken out of delivery meanwhile."""
        deadline = time.monotonic() + self._patience_seconds
        withdrawn = 0
        while True:
            # The claims first: a row that is pending again right after would be missed the other way round.
            being_sent = await self._rows.being_sent(account_id)
            withdrawn += await self._rows.withdraw(account_id)
            if not being_sent or time.monotonic() > deadline:
                return withdrawn
            await asyncio.sleep(CLAIM_POLL_SECONDS)

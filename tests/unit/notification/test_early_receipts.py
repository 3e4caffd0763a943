"""Outcomes are looked at together for receipts that came before them, and a failing look costs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

import pytest

from modules.application.errors import UnavailableError
from modules.notification.internals.delivery.early_receipts import EarlyReceipts
from modules.notification.internals.push_notification_writer import (
    PushNotificationWriter,
    SettledRow,
    new_row,
)
from tests.support.push_rows import make_push, make_settled

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NEW = make_push()


class Looks:
    """Stands in for the writer: remembers what was looked for, and fails as often as told."""

    def __init__(self, failures: int = 0, *, waits: bool = False) -> None:
        self.asked: list[list[SettledRow]] = []
        self._failures = failures
        self.was_asked, self.goes_on = asyncio.Event(), asyncio.Event()
        if not waits:
            self.goes_on.set()

    async def apply_receipts(self, written: Sequence[SettledRow]) -> None:
        self.asked.append(list(written))
        self.was_asked.set()
        await self.goes_on.wait()
        if len(self.asked) <= self._failures:
            raise UnavailableError(code="mongodb_unavailable", reason="away")


def receipts_by(looks: Looks) -> EarlyReceipts:
    return EarlyReceipts(cast(PushNotificationWriter, looks))


async def test_outcomes_that_are_written_one_after_the_other_are_looked_at_together() -> None:
    looks = Looks()
    receipts = receipts_by(looks)
    written = [make_settled(new_row(NEW, NOW)) for _ in range(3)]
    for each in written:
        receipts.expect([each])
    await looks.was_asked.wait()
    assert looks.asked == [written]
    await receipts.close()
    assert len(looks.asked) == 1


async def test_a_close_does_not_wait_for_the_moment_of_a_look() -> None:
    looks = Looks()
    receipts = receipts_by(looks)
    receipts.expect([make_settled(new_row(NEW, NOW))])
    assert looks.asked == []
    await receipts.close()
    assert len(looks.asked) == 1


async def test_what_is_written_during_a_look_is_looked_at_in_one_more() -> None:
    looks = Looks(waits=True)
    receipts = receipts_by(looks)
    written = [make_settled(new_row(NEW, NOW)) for _ in range(4)]
    receipts.expect(written[:1])
    await looks.was_asked.wait()
    for each in written[1:]:
        receipts.expect([each])
    looks.goes_on.set()
    await receipts.close()
    assert looks.asked == [written[:1], written[1:]]


async def test_a_look_that_fails_is_logged_and_the_next_one_is_made(caplog: pytest.LogCaptureFixture) -> None:
    looks = Looks(failures=1)
    receipts = receipts_by(looks)
    receipts.expect([make_settled(new_row(NEW, NOW))])
    await looks.was_asked.wait()
    receipts.expect([make_settled(new_row(NEW, NOW))])
    await receipts.close()
    assert len(looks.asked) == 2
    assert "push.receipts_left" in caplog.text

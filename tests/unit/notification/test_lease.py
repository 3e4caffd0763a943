"""A lease: renewed while rows are delivered, and not trusted for a moment longer than it lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
from bson import ObjectId

from modules.application.errors import UnavailableError
from modules.application.steady_clock import steady_seconds
from modules.notification.internals.delivery.lease import Lease, kept_lease
from modules.notification.internals.store.push_notification_model import PushNotificationModel
from modules.notification.internals.store.rows.row_claim_repository import RowClaimRepository
from tests.support.push_rows import make_document

LEASE_SECONDS = 0.15
CLAIM = {
    "id": "claim-1",
    "owner": "me",
    "claimed_at": "2026-05-01T12:00:00Z",
    "lease_expires_at": "2026-05-01T12:00:30Z",
    "recovered": False,
}


class ScriptedClaims:
    """Answers renewals as told; `None` is a MongoDB that does not answer."""

    def __init__(self, *answers: int | None) -> None:
        self._answers = iter(answers)
        self.asked: list[tuple[Sequence[ObjectId], str]] = []
        self.finished = asyncio.Event()

    async def renew(self, row_ids: Sequence[ObjectId], *, claim_id: str, lease_seconds: float) -> int:
        self.asked.append((row_ids, claim_id))
        answer = next(self._answers, -1)
        if answer == -1:
            self.finished.set()
            return len(row_ids)
        if answer is None:
            raise UnavailableError(code="database_unavailable", reason="down")
        return answer


def claimed_rows(count: int) -> list[PushNotificationModel]:
    return [PushNotificationModel.model_validate(make_document(claim=CLAIM)) for _ in range(count)]


def keep(
    claims: ScriptedClaims, rows: list[PushNotificationModel], lease_seconds: float = LEASE_SECONDS
) -> Any:
    return kept_lease(
        cast(RowClaimRepository, claims),
        rows,
        lease_seconds=lease_seconds,
        claimed_at=steady_seconds(),
    )


def make_lease(claimed_at: float, rows: Sequence[PushNotificationModel] | None = None) -> Lease:
    return Lease(claim_id="claim-1", rows=rows or claimed_rows(2), lease_seconds=30.0, claimed_at=claimed_at)


def test_a_lease_counts_from_before_the_claim_was_written() -> None:
    now = steady_seconds()
    assert make_lease(now).held()
    assert not make_lease(now - 30.0).held()


def test_a_renewal_counts_from_before_it_was_asked_for() -> None:
    now = steady_seconds()
    lease = make_lease(now - 30.0)
    lease.extend(now - 30.0)
    assert not lease.held()
    lease.extend(now)
    assert lease.held()


def test_a_lost_lease_is_not_held_whatever_the_time() -> None:
    lease = make_lease(steady_seconds())
    lease.renewed(1, steady_seconds())
    assert not lease.held()


def test_rows_whose_outcome_is_being_written_may_be_gone_at_a_renewal() -> None:
    first, second = claimed_rows(2)
    lease = make_lease(steady_seconds(), [first, second])
    with lease.ending([first]):
        lease.renewed(1, steady_seconds())
        assert lease.held()
    assert lease.row_ids == {second.id}
    lease.renewed(0, steady_seconds())
    assert not lease.held()


def test_rows_whose_outcome_was_not_written_are_still_ours() -> None:
    rows = claimed_rows(2)
    lease = make_lease(steady_seconds(), rows)
    with pytest.raises(UnavailableError), lease.ending(rows):
        raise UnavailableError(code="database_unavailable", reason="down")
    assert len(lease.row_ids) == 2
    lease.renewed(1, steady_seconds())
    assert not lease.held()


async def test_every_row_is_renewed_under_its_claim() -> None:
    claims, rows = ScriptedClaims(2, 2), claimed_rows(2)
    async with keep(claims, rows) as lease:
        await claims.finished.wait()
        assert lease.held(), "renewed twice, so it outlives its first end"
    asked = [(set(row_ids), claim_id) for row_ids, claim_id in claims.asked[:2]]
    assert asked == [({row.id for row in rows}, "claim-1")] * 2


async def test_losing_one_row_of_a_page_loses_the_claim() -> None:
    claims = ScriptedClaims(1)
    async with keep(claims, claimed_rows(2)) as lease:
        while lease.held():
            await asyncio.sleep(0)
        assert len(claims.asked) == 1


async def test_a_silent_database_is_asked_again_while_the_lease_lasts() -> None:
    claims = ScriptedClaims(None, 1)
    async with keep(claims, claimed_rows(1), lease_seconds=0.6) as lease:
        await claims.finished.wait()
        assert lease.held()
    assert len(claims.asked) == 3


async def test_without_a_database_the_lease_ends() -> None:
    claims = ScriptedClaims(*[None] * 10)
    async with keep(claims, claimed_rows(1)) as lease:
        while lease.held():
            await asyncio.sleep(0)
        assert claims.asked, "renewing was tried, and did not extend it"


async def test_leaving_the_block_ends_the_renewals() -> None:
    claims = ScriptedClaims()
    before = asyncio.all_tasks()
    with pytest.raises(KeyError):
        async with keep(claims, claimed_rows(1)):
            raise KeyError
    assert asyncio.all_tasks() == before


async def test_a_renewal_under_way_is_awaited_and_not_cancelled() -> None:
    # The driver can turn a cancellation into an error that is tried again: the block was never left.
    answered = asyncio.Event()
    asked = asyncio.Event()
    ended: list[str] = []

    class SlowClaims(ScriptedClaims):
        async def renew(self, row_ids: Sequence[ObjectId], *, claim_id: str, lease_seconds: float) -> int:
            asked.set()
            try:
                await answered.wait()
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise UnavailableError(code="database_unavailable", reason="cancelled") from None
            ended.append("answered")
            return len(row_ids)

    async def deliver() -> None:
        async with keep(SlowClaims(), claimed_rows(1)):
            await asked.wait()

    delivering = asyncio.create_task(deliver())
    await asked.wait()
    await asyncio.sleep(0)
    answered.set()
    await delivering
    assert ended == ["answered"]

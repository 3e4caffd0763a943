"""Rows asked for one by one are delivered together, and each caller hears of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from bson import ObjectId

from modules.application.errors import UnavailableError
from modules.notification.internals.delivery.delivery_group import MOST_ROWS, DeliveryGroup
from modules.notification.types import DeliveryReport, Status

A, B, C = (ObjectId(letter * 24) for letter in "abc")


class Delivery:
    """Remembers what was delivered together; fails when told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.groups: list[list[ObjectId]] = []
        self._error = error

    async def deliver(self, row_ids: Sequence[ObjectId]) -> list[DeliveryReport]:
        self.groups.append(list(row_ids))
        if self._error is not None:
            raise self._error
        return [DeliveryReport(notification_id=str(each), status=Status.SENT, note="") for each in row_ids]


async def test_what_is_asked_for_at_once_is_delivered_together() -> None:
    delivery = Delivery()
    group = DeliveryGroup(delivery.deliver)
    reports = await asyncio.gather(group.deliver([A]), group.deliver([B, C]), group.deliver([A]))
    assert delivery.groups == [[A, B, C]]
    assert [[each.notification_id for each in one] for one in reports] == [
        [str(A)],
        [str(B), str(C)],
        [str(A)],
    ]


async def test_what_is_asked_for_later_goes_with_the_next_group() -> None:
    delivery = Delivery()
    group = DeliveryGroup(delivery.deliver)
    await group.deliver([A])
    await group.deliver([B])
    assert delivery.groups == [[A], [B]]


async def test_a_full_group_does_not_wait() -> None:
    delivery = Delivery()
    group = DeliveryGroup(delivery.deliver)
    row_ids = [ObjectId() for _ in range(MOST_ROWS + 1)]
    asking = [asyncio.create_task(group.deliver([row_id])) for row_id in row_ids]
    await asyncio.gather(*asking[:MOST_ROWS])
    assert len(delivery.groups) == 1
    await asking[MOST_ROWS]
    assert [len(each) for each in delivery.groups] == [MOST_ROWS, 1]


async def test_everyone_in_a_group_hears_that_it_failed() -> None:
    group = DeliveryGroup(Delivery(UnavailableError(code="database_unavailable", reason="away")).deliver)
    outcomes = await asyncio.gather(group.deliver([A]), group.deliver([B]), return_exceptions=True)
    assert [type(each) for each in outcomes] == [UnavailableError, UnavailableError]


async def test_one_caller_that_gives_up_does_not_take_the_others_along() -> None:
    delivery = Delivery()
    group = DeliveryGroup(delivery.deliver)
    one, other = asyncio.create_task(group.deliver([A])), asyncio.create_task(group.deliver([B]))
    await asyncio.sleep(0)
    one.cancel()
    [report] = await other
    assert report.notification_id == str(B)
    with pytest.raises(asyncio.CancelledError):
        await one

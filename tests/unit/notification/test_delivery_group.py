"""Rows asked for one by one are delivered together, and each caller hears of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from modules.application.errors import UnavailableError
from modules.notification.errors import PushNotificationNotFoundError
from modules.notification.internals.delivery.delivery_group import MOST_ROWS, DeliveryGroup
from modules.notification.types import DeliveryReport, Status

A, B, C = ("a" * 24, "b" * 24, "c" * 24)


class Delivery:
    """Remembers what was delivered together; fails when told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.groups: list[list[str]] = []
        self._error = error

    async def deliver(self, notification_ids: Sequence[str]) -> list[DeliveryReport]:
        self.groups.append(list(notification_ids))
        if self._error is not None:
            raise self._error
        return [
            DeliveryReport(notification_id=each, status=Status.SENT, note="") for each in notification_ids
        ]


async def test_what_is_asked_for_at_once_is_delivered_together() -> None:
    delivery = Delivery()
    group = DeliveryGroup(delivery.deliver)
    reports = await asyncio.gather(group.deliver([A]), group.deliver([B, C]), group.deliver([A]))
    assert delivery.groups == [[A, B, C]]
    assert [[each.notification_id for each in one] for one in reports] == [[A], [B, C], [A]]


async def test_what_is_asked_for_later_goes_with_the_next_group() -> None:
    delivery = Delivery()
    group = DeliveryGroup(delivery.deliver)
    await group.deliver([A])
    await group.deliver([B])
    assert delivery.groups == [[A], [B]]


async def test_a_full_group_does_not_wait() -> None:
    delivery = Delivery()
    group = DeliveryGroup(delivery.deliver)
    asking = [asyncio.create_task(group.deliver([f"{number:024x}"])) for number in range(MOST_ROWS + 1)]
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
    assert report.notification_id == B
    with pytest.raises(asyncio.CancelledError):
        await one


async def test_an_id_that_is_none_fails_alone() -> None:
    delivery = Delivery()
    group = DeliveryGroup(delivery.deliver)
    outcomes = await asyncio.gather(
        group.deliver(["no id"]), group.deliver([A.upper()]), return_exceptions=True
    )
    assert isinstance(outcomes[0], PushNotificationNotFoundError)
    assert isinstance(outcomes[1], list)
    assert delivery.groups == [[A]]

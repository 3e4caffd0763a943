"""Large batches of one kind take turns, two at once; small ones and other kinds do not wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from modules.notification.internals.delivery.batch_turns import (
    BATCHES_AT_ONCE,
    LARGE_BATCH_ROWS,
    BatchTurns,
)


async def settled(tasks: list[asyncio.Task[None]], has_turn: Callable[[], int]) -> int:
    """How many have their turn once nothing moves any more."""
    seen = -1
    while seen != has_turn():
        seen = has_turn()
        for _ in tasks:
            await asyncio.sleep(0)
    return seen


async def test_batches_of_one_kind_go_two_at_once() -> None:
    turns, leave, inside = BatchTurns(), asyncio.Event(), []

    async def batch(kind: str, rows: int) -> None:
        async with turns.turn(kind, rows):
            inside.append(kind)
            await leave.wait()

    tasks = [asyncio.create_task(batch("a", LARGE_BATCH_ROWS)) for _ in range(5)]
    assert await settled(tasks, lambda: len(inside)) == BATCHES_AT_ONCE
    tasks += [asyncio.create_task(batch("b", LARGE_BATCH_ROWS)), asyncio.create_task(batch("a", 1))]
    assert await settled(tasks, lambda: len(inside)) == BATCHES_AT_ONCE + 2
    leave.set()
    await asyncio.gather(*tasks)
    assert len(inside) == len(tasks)


async def test_a_turn_is_given_back_when_a_batch_fails_and_forgotten_when_nobody_waits() -> None:
    turns = BatchTurns()

    async def failing() -> None:
        async with turns.turn("a", LARGE_BATCH_ROWS):
            raise RuntimeError

    for _ in range(3 * BATCHES_AT_ONCE):
        await asyncio.gather(failing(), return_exceptions=True)
    async with turns.turn("a", LARGE_BATCH_ROWS):
        assert len(turns._turns) == 1
    assert len(turns._turns) == 0

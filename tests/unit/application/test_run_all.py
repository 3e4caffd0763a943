"""Works that run side by side all end, whatever becomes of one of them."""

from __future__ import annotations

import asyncio

import pytest

from modules.application.run_all import run_all


async def _after(turns: int, ended: list[int], error: Exception | None = None) -> int:
    for _ in range(turns):
        await asyncio.sleep(0)
    ended.append(turns)
    if error is not None:
        raise error
    return turns


async def test_results_come_in_the_order_of_the_works() -> None:
    assert await run_all(*(_after(turns, []) for turns in (3, 1, 2))) == (3, 1, 2)
    assert await run_all() == ()


async def test_the_first_error_is_raised_when_all_have_ended() -> None:
    ended: list[int] = []
    with pytest.raises(KeyError):
        await run_all(_after(1, ended, KeyError()), _after(5, ended), _after(3, ended, ValueError()))
    assert ended == [1, 3, 5]

"""Runs coroutines side by side to their end, each of them, whatever becomes of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar, overload

ResultT = TypeVar("ResultT")
OtherT = TypeVar("OtherT")
ThirdT = TypeVar("ThirdT")


@overload
async def run_all(first: Awaitable[ResultT], second: Awaitable[OtherT], /) -> tuple[ResultT, OtherT]: ...


@overload
async def run_all(
    first: Awaitable[ResultT], second: Awaitable[OtherT], third: Awaitable[ThirdT], /
) -> tuple[ResultT, OtherT, ThirdT]: ...


@overload
async def run_all(*works: Awaitable[ResultT]) -> tuple[ResultT, ...]: ...


async def run_all(*works: Awaitable[Any]) -> tuple[Any, ...]:
    """The results, in order; raises the first error once all have ended.

    asyncio.gather leaves the others running when one fails, and a TaskGroup cancels them: the MongoDB driver
    can lose a cancellation, and its connection with it.
    """
    outcomes = await asyncio.gather(*works, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return tuple(outcomes)

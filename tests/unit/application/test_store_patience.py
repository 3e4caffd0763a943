"""What passes by itself is waited out, within bounds, and only by what may be repeated."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import (
    AutoReconnect,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteError,
    WTimeoutError,
)

from modules.application.errors import StoreError, UnavailableError
from modules.application.store_patience import StorePatience
from tests.support.store_failures import FailingFirst

SECONDS = 0.4
STEPPED_DOWN = WriteError("stepped down", 189)
NOT_PRIMARY = NotPrimaryError("stepped down", {"code": 189})
CUT = AutoReconnect("connection closed")


@pytest.fixture
async def patience() -> AsyncIterator[StorePatience]:
    client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(
        "mongodb://127.0.0.1:1/", socketTimeoutMS=int(SECONDS * 1000), connect=False
    )
    yield StorePatience(client["unused"])
    await client.close()


@pytest.mark.parametrize("error", [STEPPED_DOWN, NOT_PRIMARY, CUT, WTimeoutError("no majority", 64)])
async def test_what_may_land_twice_is_repeated_after_whatever_passes(
    patience: StorePatience, error: PyMongoError
) -> None:
    operation = FailingFirst(error, error)
    assert await patience.repeated(operation) == "done"
    assert operation.calls == 3


async def test_what_must_not_land_twice_is_repeated_only_where_it_did_certainly_not_land(
    patience: StorePatience,
) -> None:
    harmless = FailingFirst(NOT_PRIMARY, NOT_PRIMARY)
    assert await patience.once(harmless) == "done"
    for error in (CUT, STEPPED_DOWN, WTimeoutError("no majority", 64)):
        operation = FailingFirst(error)
        with pytest.raises(UnavailableError) as told:
            await patience.once(operation)
        assert told.value.may_have_happened
        assert operation.calls == 1


@pytest.mark.parametrize("way", [StorePatience.repeated, StorePatience.once])
async def test_what_is_refused_for_good_is_not_repeated(
    patience: StorePatience, way: Callable[..., Awaitable[str]]
) -> None:
    operation = FailingFirst(OperationFailure("invalid", 121))
    with pytest.raises(StoreError, match="121"):
        await way(patience, operation)
    assert operation.calls == 1


async def test_the_wait_has_an_end(patience: StorePatience) -> None:
    began = time.monotonic()
    with pytest.raises(UnavailableError):
        await patience.repeated(FailingFirst(*[NOT_PRIMARY] * 1_000))
    assert SECONDS <= time.monotonic() - began < SECONDS + 5


async def test_one_try_that_may_have_landed_is_not_forgotten_over_later_ones(
    patience: StorePatience,
) -> None:
    with pytest.raises(UnavailableError) as told:
        await patience.repeated(FailingFirst(CUT, *[NOT_PRIMARY] * 1_000))
    assert told.value.may_have_happened


async def test_a_set_of_which_nobody_answers_is_not_waited_for_again(patience: StorePatience) -> None:
    operation = FailingFirst(ServerSelectionTimeoutError("nobody"))
    with pytest.raises(UnavailableError) as told:
        await patience.repeated(operation)
    assert (operation.calls, told.value.may_have_happened) == (1, False)

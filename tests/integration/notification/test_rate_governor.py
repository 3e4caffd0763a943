"""Two governors, as two processes would have, share one credential's rate through the real MongoDB."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from pymongo.errors import WriteError

from modules.application.errors import UnavailableError
from modules.application.mongo_database import MongoDatabase
from modules.notification.internals.domain.rate_quota import RateLimits, RateQuota, RateState
from modules.notification.internals.guards.rate_credential import FLUSH_SECONDS
from modules.notification.internals.guards.rate_governor import RateGovernor
from modules.notification.internals.guards.rate_line import LEFTOVER_SECONDS
from modules.notification.internals.store.rate_quota_repository import RateQuotaRepository, StoredRate

APP = "app-1"
OPEN_PER_SECOND = 900.0
LIMITS = RateLimits(quota_per_minute=60_000, ramp_seconds=0.0, reserved_share=0.1)


class WatchedStore(RateQuotaRepository):
    """Tells when something was written; runs a rival before the next write, or is out of reach, as told."""

    down = False
    rival: Callable[[], Awaitable[object]] | None = None

    def __init__(self, database: MongoDatabase) -> None:
        super().__init__(database.database)
        self.written: list[RateState] = []
        self.conflicts = 0
        self._changed = asyncio.Condition()

    async def read(self, app_id: str) -> StoredRate | None:
        self._answer()
        return await super().read(app_id)

    async def replace_if(self, app_id: str, state: RateState, *, version: int) -> bool:
        self._answer()
        rival, self.rival = self.rival, None
        if rival is not None:
            await rival()
        if not await super().replace_if(app_id, state, version=version):
            self.conflicts += 1
            return False
        self.written.append(state)
        async with self._changed:
            self._changed.notify_all()
        return True

    async def until_written(self, holds: Callable[[RateState], bool]) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: any(map(holds, self.written)))

    def _answer(self) -> None:
        if self.down:
            raise UnavailableError(code="database_unavailable", reason="MongoDB did not answer (test)")


class SteppedClock:
    """The monotonic clock with time that can be skipped."""

    def __init__(self) -> None:
        self.skipped_seconds = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.skipped_seconds


@pytest.fixture
async def store(database: MongoDatabase) -> WatchedStore:
    store = WatchedStore(database)
    await store.ensure()
    return store


@pytest.fixture
def other_store(store: WatchedStore, database: MongoDatabase) -> WatchedStore:
    return WatchedStore(database)


@pytest.fixture
def monotonic() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
async def governor(
    store: WatchedStore, database: MongoDatabase, monotonic: SteppedClock
) -> AsyncIterator[RateGovernor]:
    governor = RateGovernor(store, database.clock, LIMITS, app_ids=["default"], monotonic=monotonic)
    yield governor
    await governor.close()


@pytest.fixture
async def other(other_store: WatchedStore, database: MongoDatabase) -> AsyncIterator[RateGovernor]:
    governor = RateGovernor(other_store, database.clock, LIMITS, app_ids=["default"])
    yield governor
    await governor.close()


async def send(governor: RateGovernor, flow: str, *, seconds: float, wanted: int = 50) -> int:
    """How many messages of a flow that never ends get a permit in that time."""
    sent, ends_at = 0, time.monotonic() + seconds
    while (left := ends_at - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(left):
                sent += await governor.acquire(APP, flow=flow, wanted=wanted)
        except TimeoutError:
            break
    return sent


async def drain(governor: RateGovernor, flow: str = "campaign/1") -> None:
    """Use the burst up, so that from here on everything is granted as it accrues."""
    await send(governor, flow, seconds=0.5)


async def waited(governor: RateGovernor) -> float:
    """Seconds until a permit is granted."""
    began = time.monotonic()
    await governor.acquire(APP, flow="campaign/1", wanted=10)
    return time.monotonic() - began


async def stored(store: RateQuotaRepository) -> StoredRate:
    found = await store.read(APP)
    assert found is not None
    return found


def is_paused_by(code: str) -> Callable[[RateState], bool]:
    return lambda state: state.pause_code == code


async def test_two_processes_stay_within_one_quota_and_use_it(
    governor: RateGovernor, other: RateGovernor
) -> None:
    began = time.monotonic()
    sent = await asyncio.gather(
        *(send(each, "campaign/1", seconds=3.0) for each in (governor, other) for _ in range(5))
    )
    seconds = time.monotonic() - began
    assert OPEN_PER_SECOND * 3.0 <= sum(sent) <= OPEN_PER_SECOND * (seconds + 1)


async def test_flows_share_evenly_whichever_process_they_are_in(
    governor: RateGovernor, other: RateGovernor
) -> None:
    await drain(governor)
    first, second = await asyncio.gather(
        send(governor, "campaign/1", seconds=3.0), send(other, "campaign/2", seconds=3.0)
    )
    assert max(first, second) <= 1.5 * min(first, second)
    assert first + second >= OPEN_PER_SECOND * 2.0


async def test_flows_of_one_process_share_evenly(governor: RateGovernor) -> None:
    await drain(governor)
    many, one = await asyncio.gather(
        asyncio.gather(*(send(governor, "campaign/1", seconds=3.0) for _ in range(9))),
        send(governor, "campaign/2", seconds=3.0),
    )
    assert max(sum(many), one) <= 1.5 * min(sum(many), one)


async def test_one_round_trip_serves_all_callers_alike(governor: RateGovernor, store: WatchedStore) -> None:
    sent = await asyncio.gather(*(governor.acquire(APP, flow="campaign/1", wanted=1_000) for _ in range(5)))
    assert sent == [45] * 5
    assert len(store.written) == 1


async def test_mongodb_sees_a_few_writes_a_second(governor: RateGovernor, store: WatchedStore) -> None:
    sent = await asyncio.gather(*(send(governor, "campaign/1", seconds=2.0, wanted=1) for _ in range(20)))
    assert sum(sent) >= OPEN_PER_SECOND
    assert len(store.written) <= 25


async def test_a_pause_stops_this_process_at_once_and_the_others_with_their_next_chunk(
    governor: RateGovernor, other: RateGovernor, store: WatchedStore
) -> None:
    assert await governor.acquire(APP, flow="campaign/1", wanted=10) == 10
    governor.pause(APP, 1.0, "QUOTA_EXCEEDED")
    assert governor.paused_seconds(APP) == pytest.approx(1.0, abs=0.1)
    assert other.paused_seconds(APP) == 0.0
    await store.until_written(is_paused_by("QUOTA_EXCEEDED"))
    assert min(await asyncio.gather(waited(governor), waited(other))) > 0.7
    assert governor.paused_seconds(APP) == other.paused_seconds(APP) == 0.0


async def test_leftovers_are_not_used_in_a_pause(governor: RateGovernor) -> None:
    await hold_leftovers(governor)
    governor.pause(APP, 0.5, "QUOTA_EXCEEDED")
    assert await waited(governor) > 0.4


async def hold_leftovers(governor: RateGovernor) -> None:
    """Ask for one at a time, which a chunk is taken for."""
    for _ in range(20):
        assert await governor.acquire(APP, flow="campaign/1", wanted=1) == 1


async def test_a_flush_of_immediate_messages_learns_of_a_pause(
    governor: RateGovernor, other: RateGovernor, store: WatchedStore, other_store: WatchedStore
) -> None:
    governor.pause(APP, 60.0, "QUOTA_EXCEEDED")
    await store.until_written(is_paused_by("QUOTA_EXCEEDED"))
    other.spend(APP, 1)
    await other_store.until_written(is_paused_by("QUOTA_EXCEEDED"))
    assert other.paused_seconds(APP) == pytest.approx(60.0, abs=5.0)


async def test_a_longer_pause_of_another_process_stands(
    governor: RateGovernor, other: RateGovernor, store: WatchedStore, other_store: WatchedStore
) -> None:
    other.pause(APP, 60.0, "LONG")
    await other_store.until_written(is_paused_by("LONG"))
    governor.pause(APP, 5.0, "SHORT")
    governor.spend(APP, 1)
    await store.until_written(is_paused_by("LONG"))
    assert governor.paused_seconds(APP) > 50.0


async def test_a_pause_is_written_when_mongodb_is_back(governor: RateGovernor, store: WatchedStore) -> None:
    store.down = True
    governor.pause(APP, 60.0, "QUOTA_EXCEEDED")
    with pytest.raises(UnavailableError):
        await governor.acquire(APP, flow="campaign/1", wanted=1)
    assert governor.paused_seconds(APP) > 50.0
    store.down = False
    await store.until_written(is_paused_by("QUOTA_EXCEEDED"))


async def test_immediate_messages_are_tallied_and_taken_from_the_others(
    governor: RateGovernor, other: RateGovernor, other_store: WatchedStore
) -> None:
    await drain(governor)
    for _ in range(1_000):
        other.spend(APP, 3)
    await other_store.until_written(lambda state: state.free < -1_000)
    assert len(other_store.written) == 1
    assert await send(governor, "campaign/1", seconds=1.0) <= OPEN_PER_SECOND / 4


async def test_tallies_are_written_a_few_times_a_second_at_most(
    governor: RateGovernor, store: WatchedStore
) -> None:
    governor.spend(APP, 1)
    await store.until_written(lambda state: True)
    began = time.monotonic()
    governor.spend(APP, 1)
    await store.until_written(lambda state: len(store.written) == 2)
    assert time.monotonic() - began >= 0.8 * FLUSH_SECONDS


async def test_immediate_messages_count_after_an_outage(governor: RateGovernor, store: WatchedStore) -> None:
    store.down = True
    governor.spend(APP, 5_000)
    with pytest.raises(UnavailableError):
        await governor.acquire(APP, flow="campaign/1", wanted=1)
    store.down = False
    await store.until_written(lambda state: state.free < -1_000)


async def test_a_write_of_another_process_is_not_overwritten(
    governor: RateGovernor, store: WatchedStore, other: RateGovernor, other_store: WatchedStore
) -> None:
    await governor.acquire(APP, flow="campaign/1", wanted=1)
    taken_by_other = []

    async def rival() -> None:
        taken_by_other.append(await other.acquire(APP, flow="campaign/2", wanted=100))

    store.rival = rival
    assert await governor.acquire(APP, flow="campaign/3", wanted=100) == 100
    assert (taken_by_other, store.conflicts) == ([100], 1)
    found = await stored(store)
    assert found.version == len(store.written) + len(other_store.written)
    assert set(found.state.flows) == {"campaign/1", "campaign/2", "campaign/3"}


async def test_two_processes_may_start_a_credential_at_once(
    governor: RateGovernor, store: WatchedStore, other: RateGovernor, other_store: WatchedStore
) -> None:
    async def rival() -> None:
        await other.acquire(APP, flow="campaign/2", wanted=1)

    store.rival = rival
    assert await governor.acquire(APP, flow="campaign/1", wanted=1) == 1
    assert (store.conflicts, (await stored(store)).version) == (1, 2)


async def test_an_expired_leftover_goes_back(
    governor: RateGovernor, store: WatchedStore, monotonic: SteppedClock
) -> None:
    await hold_leftovers(governor)
    before = await stored(store)
    monotonic.skipped_seconds += LEFTOVER_SECONDS
    assert await governor.acquire(APP, flow="ordinary", wanted=1) == 1
    after = await stored(store)
    assert after.state.tokens() > before.state.tokens() + 50


async def test_leftovers_nobody_asks_for_go_back_by_themselves(
    governor: RateGovernor, store: WatchedStore
) -> None:
    await hold_leftovers(governor)
    held = len(store.written)
    await store.until_written(lambda state: len(store.written) > held)
    assert store.written[-1].tokens() >= OPEN_PER_SECOND - 50


async def test_closing_gives_back_and_writes_what_is_tallied(
    store: WatchedStore, database: MongoDatabase
) -> None:
    governor = RateGovernor(store, database.clock, LIMITS, app_ids=["default"])
    await hold_leftovers(governor)
    before = await stored(store)
    governor.pause(APP, 60.0, "QUOTA_EXCEEDED")
    governor.spend(APP, 10)
    waiting = asyncio.create_task(governor.acquire(APP, flow="campaign/1", wanted=1))
    await asyncio.wait([waiting], timeout=0.01)
    await governor.close()
    with pytest.raises(UnavailableError):
        await waiting
    after = await stored(store)
    assert after.state.pause_code == "QUOTA_EXCEEDED"
    assert after.state.reserve < before.state.reserve
    assert after.state.tokens() > before.state.tokens() + 50


async def test_closing_ends_while_mongodb_is_away(store: WatchedStore, database: MongoDatabase) -> None:
    governor = RateGovernor(store, database.clock, LIMITS, app_ids=["default"])
    store.down = True
    governor.spend(APP, 10)
    governor.pause(APP, 60.0, "QUOTA_EXCEEDED")
    async with asyncio.timeout(5):
        await governor.close()


async def test_a_caller_that_gives_up_loses_no_permits(governor: RateGovernor, store: WatchedStore) -> None:
    callers = [asyncio.create_task(governor.acquire(APP, flow="campaign/1", wanted=7)) for _ in range(3)]

    async def rival() -> None:
        callers[0].cancel()

    store.rival = rival
    first, *others = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(first, asyncio.CancelledError)
    assert others == [7, 7]
    assert await governor.acquire(APP, flow="campaign/1", wanted=100) == 7
    assert len(store.written) == 1


async def test_permits_of_a_cancelled_caller_go_to_the_next(
    governor: RateGovernor, store: WatchedStore
) -> None:
    caller = asyncio.create_task(governor.acquire(APP, flow="campaign/1", wanted=7))
    await store.until_written(lambda state: True)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert await governor.acquire(APP, flow="campaign/1", wanted=100) == 7
    assert len(store.written) == 1


async def test_a_defect_reaches_the_caller_alone(governor: RateGovernor, store: WatchedStore) -> None:
    async def rival() -> None:
        raise RuntimeError("defect")

    store.rival = rival
    with pytest.raises(RuntimeError, match="defect"):
        await governor.acquire(APP, flow="campaign/1", wanted=1)
    assert await governor.acquire(APP, flow="campaign/1", wanted=1) == 1


async def test_nothing_wanted_is_refused(governor: RateGovernor) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        await governor.acquire(APP, flow="campaign/1", wanted=0)


async def test_the_collection_refuses_what_is_no_rate(store: WatchedStore, database: MongoDatabase) -> None:
    with pytest.raises(WriteError):
        await database.database["provider_rates"].insert_one({"_id": APP, "version": 1})


async def test_a_state_comes_back_as_it_was_stored(store: WatchedStore, database: MongoDatabase) -> None:
    now = (await database.clock.now()).replace(microsecond=123_000)
    quota = RateQuota(RateLimits())
    state = quota.grant(quota.fresh(now), "campaign/1", 3, now).state
    state = quota.pause(state, now.replace(microsecond=999_000), "QUOTA_EXCEEDED")
    assert await store.replace_if(APP, state, version=0)
    assert await stored(store) == StoredRate(1, state)
    assert not await store.replace_if(APP, state, version=0)
    assert not await store.replace_if(APP, state, version=7)

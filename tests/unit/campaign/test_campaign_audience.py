"""Reading a caller's list: in threads of its own, however slow it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from modules.campaign.internals import campaign_audience
from modules.campaign.internals.campaign_audience import CampaignAudience

# More than asyncio has threads of its own.
MANY = 40
WAIT_SECONDS = 20


def make_audience() -> CampaignAudience:
    """One that reads lists and stores nothing."""
    nothing: Any = None
    return CampaignAudience(nothing, nothing)


class SlowLists:
    """Lists that stand still once they are asked; says in which threads."""

    def __init__(self) -> None:
        self.threads: set[str] = set()
        self.keep_a_program: set[str] = set()
        self.go_on = threading.Event()

    def names(self) -> Iterator[str]:
        thread = threading.current_thread()
        self.threads.add(thread.name)
        if not thread.daemon:
            self.keep_a_program.add(thread.name)
        assert self.go_on.wait(WAIT_SECONDS)
        yield "anna"


async def test_slow_lists_leave_asyncios_own_threads_alone() -> None:
    audience, lists = make_audience(), SlowLists()
    reading = [asyncio.create_task(audience.digest_of(lists.names())) for _ in range(MANY)]
    try:
        async with asyncio.timeout(WAIT_SECONDS / 2):
            while len(lists.threads) < campaign_audience.MAX_LISTS_AT_ONCE:
                await asyncio.sleep(0.01)
            assert await asyncio.to_thread(int, "7") == 7
        assert all(name.startswith("audience-reader") for name in lists.threads)
    finally:
        lists.go_on.set()
    assert len(set(await asyncio.gather(*reading))) == 1
    assert len(lists.threads) <= campaign_audience.MAX_LISTS_AT_ONCE
    assert lists.keep_a_program == set()


async def test_the_readers_end_with_what_they_read_for() -> None:
    audience, lists = make_audience(), SlowLists()
    lists.go_on.set()
    before = set(threading.enumerate())
    await audience.digest_of(lists.names())
    readers = {
        each for each in set(threading.enumerate()) - before if each.name.startswith("audience-reader")
    }
    assert readers
    del audience
    for reader in readers:
        await asyncio.to_thread(reader.join, WAIT_SECONDS)
        assert not reader.is_alive()


async def test_a_list_is_read_in_its_callers_context() -> None:
    caller: ContextVar[str] = ContextVar("caller")
    caller.set("anna")

    def names() -> Iterator[str]:
        yield caller.get("nobody")

    audience = make_audience()
    assert await audience.digest_of(names()) == await audience.digest_of(["anna"])

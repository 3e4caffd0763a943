"""One loop for plain and async callers: results, failures, cancellation and the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from modules.application import event_loop_thread
from modules.application.errors import ApplicationClosedError, ServiceError
from modules.application.event_loop_thread import EventLoopThread, told_if_cut
from modules.campaign.errors import CampaignUnconfirmedError
from tests.support.servers import eventually


@pytest.fixture
def loop_thread() -> Iterator[EventLoopThread]:
    thread = EventLoopThread("test-loop")
    yield thread
    thread.stop()


async def thread_name() -> str:
    return threading.current_thread().name


async def fail() -> None:
    raise KeyError("wrong")


def test_plain_code_gets_the_result_of_work_on_the_loop(loop_thread: EventLoopThread) -> None:
    assert loop_thread.run(thread_name()) == "test-loop"


async def test_code_under_another_loop_gets_it_without_blocking_its_own(loop_thread: EventLoopThread) -> None:
    here = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def needs_the_callers_loop() -> str:
        done = asyncio.run_coroutine_threadsafe(_set(here), loop)
        await asyncio.wrap_future(done)
        return await thread_name()

    assert await loop_thread.call(needs_the_callers_loop) == "test-loop"
    assert here.is_set()


async def _set(event: asyncio.Event) -> None:
    event.set()


def test_work_on_the_loop_may_call_it_again(loop_thread: EventLoopThread) -> None:
    async def nested() -> str:
        return await loop_thread.call(thread_name)

    assert loop_thread.run(nested()) == "test-loop"


def test_a_failure_reaches_the_caller(loop_thread: EventLoopThread) -> None:
    with pytest.raises(KeyError):
        loop_thread.run(fail())


async def test_a_failure_reaches_the_caller_of_another_loop(loop_thread: EventLoopThread) -> None:
    with pytest.raises(KeyError):
        await loop_thread.call(fail)


def test_blocking_on_the_loops_own_thread_is_refused(loop_thread: EventLoopThread) -> None:
    async def blocks() -> None:
        loop_thread.run(thread_name())

    with pytest.raises(ServiceError) as error:
        loop_thread.run(blocks())
    assert error.value.code == "would_deadlock"


async def test_a_caller_that_gives_up_stops_the_work(loop_thread: EventLoopThread) -> None:
    started, stopped = threading.Event(), threading.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    waiting = asyncio.create_task(loop_thread.call(work))
    assert await asyncio.to_thread(started.wait, 10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.to_thread(stopped.wait, 10)


def test_stopping_cancels_what_runs_and_may_be_repeated() -> None:
    thread = EventLoopThread("short-lived")
    stopped = threading.Event()

    async def start() -> asyncio.Task[None]:
        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        return task

    task = thread.run(start())
    thread.stop()
    thread.stop()
    assert stopped.is_set()
    assert task.cancelled()
    assert "short-lived" not in {each.name for each in threading.enumerate()}


class Stubborn:
    """Work that goes on, whatever cancels it, until it is released."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.asked_to_end = threading.Event()
        self.released = asyncio.Event()

    async def work(self) -> None:
        self.started.set()
        while not self.released.is_set():
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                self.asked_to_end.set()


def in_background(pool: ThreadPoolExecutor, stubborn: Stubborn, thread: EventLoopThread) -> Future[None]:
    waiting = pool.submit(thread.run, stubborn.work())
    assert stubborn.started.wait(10)
    return waiting


async def test_a_call_that_lands_while_the_loop_stops_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_loop_thread, "STOP_SECONDS", 60.0)
    thread = EventLoopThread("stopping")
    stubborn = Stubborn()
    with ThreadPoolExecutor() as pool:
        waiting = in_background(pool, stubborn, thread)
        stopping = pool.submit(thread.stop)
        assert stubborn.asked_to_end.wait(10)
        with pytest.raises(ApplicationClosedError):
            thread.run(thread_name())
        with pytest.raises(ApplicationClosedError):
            await thread.call(thread_name)
        thread._loop.call_soon_threadsafe(stubborn.released.set)
        stopping.result(10)
        waiting.result(10)
    with pytest.raises(ApplicationClosedError):
        thread.run(thread_name())


def test_who_waits_for_work_that_outlives_the_loop_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_loop_thread, "STOP_SECONDS", 0.01)
    thread = EventLoopThread("left-behind")
    stubborn = Stubborn()
    with ThreadPoolExecutor() as pool:
        waiting = in_background(pool, stubborn, thread)
        thread.stop()
        with pytest.raises(ApplicationClosedError):
            waiting.result(10)


async def test_who_waits_for_work_that_the_stop_cancels_is_told() -> None:
    thread = EventLoopThread("cut-off")
    started = asyncio.Event()
    here = asyncio.get_running_loop()

    async def work() -> None:
        here.call_soon_threadsafe(started.set)
        await asyncio.Event().wait()

    plain = asyncio.create_task(asyncio.to_thread(thread.run, work()))
    await started.wait()
    started.clear()
    under_another_loop = asyncio.create_task(thread.call(work))
    await started.wait()
    await asyncio.to_thread(thread.stop)
    for waiting in (plain, under_another_loop):
        with pytest.raises(ApplicationClosedError) as cut:
            await waiting
        assert cut.value.may_have_happened


class Held:
    """Work that goes on until it is released, in a call that waits for it in the background."""

    def __init__(self, thread: EventLoopThread, pool: ThreadPoolExecutor, *, lasting: bool = False) -> None:
        self._thread = thread
        self._released = asyncio.Event()
        self._started = threading.Event()
        self.call = pool.submit(asyncio.run, thread.call(self._work, lasting=lasting))
        assert self._started.wait(10)

    async def _work(self) -> str:
        self._started.set()
        await self._released.wait()
        return "done"

    def release(self) -> None:
        self._thread._loop.call_soon_threadsafe(self._released.set)


def end_of_calls(
    thread: EventLoopThread, told: list[str], within_seconds: float = 60.0
) -> Coroutine[Any, Any, None]:
    async def end() -> None:
        told.append("refused")
        await thread.end_calls(within_seconds=within_seconds)
        told.append("ended")

    return end()


def test_the_last_one_waits_for_calls_under_way_and_refuses_new_ones_meanwhile() -> None:
    thread, told = EventLoopThread("waiting"), list[str]()
    with ThreadPoolExecutor() as pool:
        held = Held(thread, pool)
        last = pool.submit(thread.run_last, end_of_calls(thread, told))
        eventually(lambda: told == ["refused"])
        with pytest.raises(ApplicationClosedError) as refused:
            thread.run(thread_name())
        assert not refused.value.may_have_happened
        assert told == ["refused"]
        held.release()
        last.result(10)
        assert held.call.result(10) == "done"
    thread.stop()
    assert told == ["refused", "ended"]


def test_what_outlasts_the_wait_is_cut_and_its_caller_told_that_it_may_have_happened() -> None:
    thread, told = EventLoopThread("cutting"), list[str]()
    with ThreadPoolExecutor() as pool:
        held = Held(thread, pool)
        thread.run_last(end_of_calls(thread, told, within_seconds=0.0))
        with pytest.raises(ApplicationClosedError) as cut:
            held.call.result(10)
    thread.stop()
    assert cut.value.may_have_happened
    assert told == ["refused", "ended"]


def test_what_only_the_end_ends_is_neither_waited_for_nor_cut_before_it() -> None:
    thread, told = EventLoopThread("lasting"), list[str]()
    with ThreadPoolExecutor() as pool:
        held = Held(thread, pool, lasting=True)
        thread.run_last(end_of_calls(thread, told, within_seconds=3600.0))
        assert not held.call.done()
        thread.stop()
        with pytest.raises(ApplicationClosedError):
            held.call.result(10)


def test_work_that_is_cut_may_say_what_its_caller_is_told() -> None:
    thread, told = EventLoopThread("saying"), list[str]()
    started = threading.Event()

    async def work() -> None:
        with told_if_cut(lambda: CampaignUnconfirmedError("id-1")):
            started.set()
            await asyncio.Event().wait()

    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(thread.run, work())
        assert started.wait(10)
        thread.run_last(end_of_calls(thread, told, within_seconds=0.0))
        with pytest.raises(CampaignUnconfirmedError) as cut:
            waiting.result(10)
    thread.stop()
    assert cut.value.campaign_id == "id-1"


async def test_who_gives_up_is_not_told_that_the_application_ended(loop_thread: EventLoopThread) -> None:
    started, ended = asyncio.Event(), asyncio.Event()
    here, seen = asyncio.get_running_loop(), list[type[BaseException]]()

    async def work() -> None:
        try:
            with told_if_cut(lambda: CampaignUnconfirmedError("id-1")):
                here.call_soon_threadsafe(started.set)
                await asyncio.Event().wait()
        except BaseException as error:
            seen.append(type(error))
            here.call_soon_threadsafe(ended.set)
            raise

    waiting = asyncio.create_task(loop_thread.call(work))
    await started.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await ended.wait()
    assert seen == [asyncio.CancelledError]

"""One loop for plain and async callers: results, failures, cancellation and the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from modules.application import event_loop_thread
from modules.application.errors import ApplicationClosedError, ServiceError
from modules.application.event_loop_thread import EventLoopThread


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
        with pytest.raises(ApplicationClosedError):
            await waiting

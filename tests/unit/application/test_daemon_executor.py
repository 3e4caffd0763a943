"""Blocking calls in threads of our own: bounded, reused, and no reason for a program not to end."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading

import pytest

from modules.application.daemon_executor import DaemonExecutor
from modules.application.service_loop import LibraryLoop, WorkerLoop
from tests.support.servers import eventually


def threads_of(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(name)]


def test_calls_give_results_and_failures() -> None:
    executor = DaemonExecutor(2, name="results")
    assert executor.submit(divmod, 7, 2).result(10) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        executor.submit(divmod, 7, 0).result(10)
    executor.shutdown()
    assert threads_of("results") == []
    with pytest.raises(RuntimeError):
        executor.submit(divmod, 7, 2)


def test_there_are_as_many_threads_as_calls_at_once_and_never_more_than_allowed() -> None:
    executor = DaemonExecutor(3, name="bounded")
    go = threading.Event()
    for _ in range(5):
        executor.submit(int).result(10)
        eventually(lambda: executor._idle._value == 1)
    assert len(threads_of("bounded")) == 1
    waiting = [executor.submit(go.wait, 10) for _ in range(8)]
    assert len(threads_of("bounded")) == 3
    assert all(thread.daemon for thread in threads_of("bounded"))
    go.set()
    assert all(each.result(10) for each in waiting)
    executor.shutdown()


def test_a_call_that_is_cancelled_in_time_is_not_made() -> None:
    executor = DaemonExecutor(1, name="cancelled")
    go, made = threading.Event(), threading.Event()
    first = executor.submit(go.wait, 10)
    second = executor.submit(made.set)
    assert second.cancel()
    go.set()
    assert first.result(10)
    executor.shutdown()
    assert not made.is_set()


def test_what_was_taken_is_done_before_the_threads_end() -> None:
    executor = DaemonExecutor(1, name="draining")
    done = [executor.submit(int, number) for number in range(50)]
    executor.shutdown()
    assert [each.result(0) for each in done] == list(range(50))
    executor.shutdown()


def test_its_threads_end_with_it() -> None:
    executor = DaemonExecutor(1, name="forgotten")
    executor.submit(int).result(10)
    del executor
    gc.collect()
    eventually(lambda: threads_of("forgotten") == [])


@pytest.mark.parametrize("kind", [LibraryLoop, WorkerLoop])
def test_a_loop_makes_blocking_calls_and_finds_hosts_in_such_threads(
    kind: type[LibraryLoop] | type[WorkerLoop],
) -> None:
    loop = kind()

    async def name_of_thread() -> str:
        return (await asyncio.to_thread(threading.current_thread)).name

    try:
        assert loop.run_until_complete(name_of_thread()).startswith("notification-service-call")
        found = loop.run_until_complete(loop.getaddrinfo("127.0.0.1", 80))
        assert ("127.0.0.1", 80) in {address for *_, address in found}
    finally:
        loop.close()
    eventually(lambda: threads_of("notification-service-call") == [])


def test_calls_are_made_after_the_main_thread_has_ended() -> None:
    program = """
import threading
from modules.application.daemon_executor import DaemonExecutor
executor, main = DaemonExecutor(1, name="late"), threading.main_thread()
threading.Thread(target=lambda: (main.join(), print(executor.submit(int, 5).result(10)))).start()
"""
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("5\n", "", 0)

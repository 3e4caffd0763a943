"""A request that its client lets run on is ended, and no other; who is cancelled from outside stays so."""

from __future__ import annotations

import asyncio

import pytest

from modules.notification.internals.channels.fcm.backstop import Backstop


async def request(backstop: Backstop, answer: asyncio.Future[str], *, swallows: bool = False) -> str:
    task = backstop.begin()
    try:
        return await answer
    except asyncio.CancelledError:
        if swallows:
            return "swallowed"
        if not backstop.has_cancelled(task):
            raise
        return "ended"
    finally:
        backstop.end(task)


def no_answer() -> asyncio.Future[str]:
    return asyncio.get_running_loop().create_future()


async def test_a_request_that_does_not_end_is_ended_and_its_task_goes_on() -> None:
    backstop = Backstop(0.02, look_seconds=0.01)

    async def two_requests() -> list[str]:
        answered = no_answer()
        answered.set_result("answered")
        return [await request(backstop, no_answer()), await request(backstop, answered)]

    task = asyncio.create_task(two_requests())
    assert await task == ["ended", "answered"]
    assert task.cancelling() == 0


async def test_one_that_is_answered_in_time_is_left_alone() -> None:
    backstop, late = Backstop(0.02, look_seconds=0.01), no_answer()
    in_time = no_answer()
    first, second = (asyncio.create_task(request(backstop, answer)) for answer in (in_time, late))
    await asyncio.sleep(0)
    in_time.set_result("answered")
    assert (await first, await second) == ("answered", "ended")


async def test_who_is_cancelled_from_outside_is_cancelled() -> None:
    task = asyncio.create_task(request(Backstop(60, look_seconds=0.01), no_answer()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("outside_first", [False, True])
async def test_who_is_cancelled_from_outside_at_the_same_moment_is_cancelled(outside_first: bool) -> None:
    backstop = Backstop(0, look_seconds=0.01)
    task = asyncio.create_task(request(backstop, no_answer()))
    await asyncio.sleep(0)
    if outside_first:
        task.cancel()
        backstop._look()
    else:
        backstop._look()
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancel_that_the_client_swallows_is_taken_back() -> None:
    backstop = Backstop(0.02, look_seconds=0.01)

    async def two_requests() -> list[str]:
        return [await request(backstop, no_answer(), swallows=each) for each in (True, False)]

    task = asyncio.create_task(two_requests())
    assert await task == ["swallowed", "ended"]
    assert task.cancelling() == 0


async def test_a_task_that_outlived_a_cancel_before_is_ended_as_any_other() -> None:
    backstop, survived = Backstop(0.02, look_seconds=0.01), asyncio.Event()

    async def stubborn() -> str:
        try:
            await no_answer()
        except asyncio.CancelledError:
            survived.set()
        return await request(backstop, no_answer())

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "ended"
    assert survived.is_set()


async def test_one_of_a_group_that_is_ended_leaves_the_others_alone() -> None:
    backstop, answers = Backstop(0.02, look_seconds=0.01), [no_answer(), no_answer()]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(request(backstop, answer)) for answer in answers]
        await asyncio.sleep(0)
        answers[1].set_result("answered")
    assert [task.result() for task in tasks] == ["ended", "answered"]


async def test_nothing_is_looked_at_once_nothing_is_under_way() -> None:
    backstop = Backstop(0.02, look_seconds=0.01)
    assert await request(backstop, no_answer()) == "ended"
    while backstop._timer is not None:
        await asyncio.sleep(0)
    assert backstop._requests == {}

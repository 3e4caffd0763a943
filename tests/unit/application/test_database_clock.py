"""The clock's samples: the quickest answer counts, a slow one does not spoil a good one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from modules.application.errors import UnavailableError
from modules.application.mongo_database import CLOCK_REFRESH_SECONDS, CLOCK_RETRY_SECONDS, DatabaseClock

EPOCH = datetime(2026, 5, 1, tzinfo=UTC)
# Longer than any pause between two refreshes.
LATER_SECONDS = CLOCK_REFRESH_SECONDS + CLOCK_RETRY_SECONDS


class ScriptedServer:
    """Answers `hello` after the next of `answers`: seconds on the way back, or a failure.

    The time in an answer is the one at which it left, which makes the measured offset as wrong as can be.
    """

    def __init__(self) -> None:
        self.elapsed_seconds = 0.0
        self.step_seconds = 0.0
        self.asked = 0
        self._answers: list[float | Exception] = []
        self.admin = SimpleNamespace(command=self._hello)

    def will_answer(self, *answers: float | Exception) -> None:
        self._answers = list(answers)
        self.asked = 0

    def steady(self) -> float:
        return self.elapsed_seconds

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.elapsed_seconds + self.step_seconds)

    async def _hello(self, _: str) -> dict[str, Any]:
        self.asked += 1
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        local_time = self.now()
        self.elapsed_seconds += answer
        return {"localTime": local_time}


@pytest.fixture
def server() -> ScriptedServer:
    return ScriptedServer()


@pytest.fixture
def clock(server: ScriptedServer) -> DatabaseClock:
    client: Any = server
    return DatabaseClock(client, steady=server.steady)


async def error_seconds(clock: DatabaseClock, server: ScriptedServer) -> float:
    return abs((await clock.now() - server.now()).total_seconds())


@pytest.mark.parametrize(
    ("answers", "asked", "wrong_by"),
    [
        ([0.02], 1, 0.01),
        ([0.4, 0.04], 2, 0.02),
        ([0.4, 0.2, 0.6], 3, 0.1),
        ([0.4, AutoReconnect(), 0.2], 3, 0.1),
    ],
)
async def test_the_quickest_answer_counts(
    clock: DatabaseClock,
    server: ScriptedServer,
    answers: Sequence[float | Exception],
    asked: int,
    wrong_by: float,
) -> None:
    server.will_answer(*answers)
    assert await error_seconds(clock, server) == pytest.approx(wrong_by, abs=1e-5)
    assert server.asked == asked


async def test_a_slow_refresh_does_not_replace_a_good_measurement(
    clock: DatabaseClock, server: ScriptedServer
) -> None:
    server.will_answer(0.02)
    await clock.now()
    server.elapsed_seconds += LATER_SECONDS
    server.will_answer(4.0, 3.0, 5.0)
    assert await error_seconds(clock, server) == pytest.approx(0.01, abs=1e-5)
    assert server.asked == 3

    server.will_answer()
    await clock.now()
    assert server.asked == 0, "the next one waits a little"

    server.elapsed_seconds += CLOCK_RETRY_SECONDS + 0.1
    server.will_answer(0.04)
    assert await error_seconds(clock, server) == pytest.approx(0.02, abs=1e-5)


async def test_a_slow_answer_is_better_than_none(clock: DatabaseClock, server: ScriptedServer) -> None:
    server.will_answer(3.0, 2.0, 4.0)
    assert await error_seconds(clock, server) == pytest.approx(1.0, abs=1e-5)


async def test_a_slow_answer_that_contradicts_replaces_what_was_measured(
    clock: DatabaseClock, server: ScriptedServer
) -> None:
    """As after this host was suspended, which the monotonic clock does not count."""
    server.will_answer(0.02)
    await clock.now()
    server.elapsed_seconds += LATER_SECONDS
    server.step_seconds = 600.0
    server.will_answer(2.0, 2.0, 2.0)
    assert await error_seconds(clock, server) == pytest.approx(1.0, abs=1e-5)


async def test_it_goes_on_while_the_database_is_away_and_does_not_ask_each_time(
    clock: DatabaseClock, server: ScriptedServer
) -> None:
    server.will_answer(AutoReconnect())
    with pytest.raises(UnavailableError):
        await clock.now()
    server.will_answer(0.02)
    await clock.now()
    server.elapsed_seconds += LATER_SECONDS
    server.will_answer(AutoReconnect())
    for _ in range(2):
        assert await error_seconds(clock, server) == pytest.approx(0.01, abs=1e-5)
    assert server.asked == 1

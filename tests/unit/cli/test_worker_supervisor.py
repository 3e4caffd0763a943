"""What the supervisor of worker processes decides, with processes and a clock of the test's own."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from modules.application.errors import Problem
from modules.cli.exit_codes import ChildFailedError, ExitCode, exit_code_for
from modules.cli.stop_signals import StopSignals
from modules.cli.supervision_rules import LONGEST_PAUSE_SECONDS
from modules.cli.worker_child import ChildEnding
from modules.cli.worker_supervisor import SupervisionLimits, WorkerStopError, WorkerSupervisor
from tests.support.process_logs import capture_logs

DRAIN_SECONDS = 30.0
MAX_MEMORY_MIB = 500
Entries = list[dict[str, Any]]
AWAY = Problem("temporal_unavailable", None, "cannot be reached")


@dataclass
class FakeChild:
    pid: int
    ready: bool = False
    ended: ChildEnding | None = None
    finishes: bool = True
    signals: list[signal.Signals] = field(default_factory=list)

    def is_ready(self) -> bool:
        return self.ready

    def ending(self) -> ChildEnding | None:
        return self.ended

    def terminate(self) -> None:
        self.signals.append(signal.SIGTERM)
        if self.finishes and self.ended is None:
            self.ended = ChildEnding(exit_code=0)

    def kill(self) -> None:
        self.signals.append(signal.SIGKILL)
        self.ended = ChildEnding(exit_code=-signal.SIGKILL)

    def wait(self, seconds: float) -> ChildEnding | None:
        return self.ended


class Room:
    """A supervisor whose processes, memory and time are this test's."""

    def __init__(self, count: int = 2) -> None:
        self.time = 1000.0
        self.started: list[FakeChild] = []
        self.places: list[int] = []
        self.memory: dict[int, int] = {}
        self.announced: list[Sequence[int]] = []
        self.refusal: OSError | None = None
        self.supervisor = WorkerSupervisor(
            count=count,
            start_child=self.start,
            limits=SupervisionLimits(drain_seconds=DRAIN_SECONDS, max_memory_mib=MAX_MEMORY_MIB),
            on_ready=self.announced.append,
            memory_of=self.memory_of,
            now=lambda: self.time,
        )

    def start(self, place: int) -> FakeChild:
        if self.refusal is not None:
            raise self.refusal
        child = FakeChild(pid=100 + len(self.started))
        self.started.append(child)
        self.places.append(place)
        return child

    def memory_of(self, pid: int) -> int | None:
        return self.memory.get(pid)

    def pass_time(self, seconds: float) -> None:
        self.time += seconds
        self.supervisor.look()

    def serve(self) -> None:
        """Until every process that was started serves."""
        self.supervisor.look()
        for child in self.started:
            child.ready = True
        self.supervisor.look()

    def end(self, child: FakeChild, exit_code: int = -signal.SIGKILL, *problems: Problem) -> None:
        child.ended = ChildEnding(exit_code=exit_code, problems=problems)
        self.supervisor.look()


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def logged() -> Iterator[Entries]:
    with capture_logs() as entries:
        yield entries


def actions(logged: Entries, action: str) -> Entries:
    return [entry for entry in logged if entry["action"] == action]


def test_ready_is_said_once_and_not_before_all_serve(room: Room) -> None:
    room.supervisor.look()
    room.started[0].ready = True
    room.supervisor.look()
    assert room.announced == []
    room.serve()
    room.pass_time(1)
    assert room.announced == [[100, 101]]


def test_a_process_that_refuses_to_start_ends_the_command_as_it_ended_itself(room: Room) -> None:
    room.supervisor.look()
    with pytest.raises(ChildFailedError) as caught:
        room.end(room.started[1], ExitCode.UNAVAILABLE, AWAY)
    assert exit_code_for(caught.value) == ExitCode.UNAVAILABLE
    assert caught.value.problems == (AWAY,)
    assert (caught.value.code, caught.value.reason) == (AWAY.code, AWAY.reason)
    assert len(room.started) == 2


def test_a_process_that_is_killed_while_it_starts_is_started_again(room: Room) -> None:
    room.supervisor.look()
    room.end(room.started[0])
    room.pass_time(1)
    assert room.places == [0, 1, 0]
    room.serve()
    assert room.announced == [[102, 101]]


def test_a_process_that_ends_is_replaced_after_growing_pauses(room: Room, logged: Entries) -> None:
    room.serve()
    pauses = []
    for _ in range(7):
        room.end(room.started[-1], ExitCode.UNAVAILABLE, AWAY)
        pause_seconds = actions(logged, "worker.process_ended")[-1]["again_in_seconds"]
        assert isinstance(pause_seconds, float)
        pauses.append(pause_seconds)
        room.pass_time(pause_seconds - 0.1)
        count = len(room.started)
        room.pass_time(0.2)
        assert len(room.started) == count + 1
    assert pauses == [1, 2, 4, 8, 16, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]
    assert "temporal_unavailable" in str(actions(logged, "worker.process_ended")[0]["reason"])


def test_a_process_that_lasted_is_replaced_as_soon_as_the_first(room: Room) -> None:
    room.serve()
    for _ in range(4):
        room.end(room.started[-1])
        room.pass_time(60)
    room.pass_time(60)
    count = len(room.started)
    room.end(room.started[-1])
    room.pass_time(1)
    assert len(room.started) == count + 1


def test_each_place_has_its_own_number_and_pauses(room: Room) -> None:
    room.serve()
    room.end(room.started[0])
    room.pass_time(1)
    room.end(room.started[2])
    room.end(room.started[1])
    room.pass_time(1)
    assert room.places == [0, 1, 0, 1]


def test_a_process_that_the_system_refuses_is_tried_again(room: Room, logged: Entries) -> None:
    room.refusal = BlockingIOError(11, "Resource temporarily unavailable")
    room.supervisor.look()
    assert len(actions(logged, "worker.process_not_started")) == 2
    room.refusal = None
    room.pass_time(1)
    assert room.places == [0, 1]


def test_memory_is_told_once_a_minute_for_each_process(room: Room, logged: Entries) -> None:
    room.memory = {100: 200, 101: 300}
    room.serve()
    for _ in range(24):
        room.pass_time(5)
    told = [(entry["pid"], entry["rss_mib"]) for entry in actions(logged, "worker.memory")]
    assert told == [(100, 200), (101, 300)] * 3
    assert [child.signals for child in room.started] == [[], []]


def test_a_process_above_the_bound_is_drained_and_replaced_one_at_a_time(room: Room, logged: Entries) -> None:
    room.serve()
    for child in room.started:
        child.finishes = False
    room.memory = {100: MAX_MEMORY_MIB + 1, 101: MAX_MEMORY_MIB + 1}
    room.pass_time(5)
    room.pass_time(5)
    assert [child.signals for child in room.started] == [[signal.SIGTERM], []]
    del room.memory[100]
    room.end(room.started[0], 0)
    room.pass_time(1)
    assert room.places == [0, 1, 0]
    room.pass_time(5)
    assert room.started[1].signals == [signal.SIGTERM]
    told = [(entry["pid"], entry["rss_mib"]) for entry in actions(logged, "worker.over_memory")]
    assert told == [(100, MAX_MEMORY_MIB + 1), (101, MAX_MEMORY_MIB + 1)]
    assert actions(logged, "worker.process_ended") == []


def test_memory_is_not_looked_at_before_all_serve(room: Room, logged: Entries) -> None:
    room.memory = {100: MAX_MEMORY_MIB + 1}
    room.supervisor.look()
    room.pass_time(5)
    assert room.started[0].signals == []
    room.serve()
    assert room.started[0].signals == [signal.SIGTERM]


def test_a_process_at_the_bound_stays(room: Room) -> None:
    room.memory = {100: MAX_MEMORY_MIB}
    room.serve()
    room.pass_time(5)
    assert room.started[0].signals == []


def test_a_process_that_does_not_drain_is_killed_when_its_time_is_over(room: Room) -> None:
    room.serve()
    room.started[0].finishes = False
    room.memory = {100: MAX_MEMORY_MIB + 1}
    room.pass_time(5)
    room.pass_time(DRAIN_SECONDS - 1)
    assert room.started[0].signals == [signal.SIGTERM]
    room.pass_time(1)
    assert room.started[0].signals == [signal.SIGTERM, signal.SIGKILL]


def test_stopping_has_every_process_finish(room: Room) -> None:
    room.serve()
    room.supervisor.stop()
    assert [child.signals for child in room.started] == [[signal.SIGTERM]] * 2


def test_a_process_that_does_not_finish_is_ended_and_told(room: Room) -> None:
    room.serve()
    room.started[0].finishes = False
    with pytest.raises(WorkerStopError) as caught:
        room.supervisor.stop()
    assert caught.value.reason.startswith("1 worker process(es)")
    assert [child.signals[-1] for child in room.started] == [signal.SIGKILL, signal.SIGTERM]


def test_a_process_that_gave_up_finishing_is_told_as_well(room: Room) -> None:
    room.serve()
    room.started[0].ended = ChildEnding(exit_code=ExitCode.REFUSED)
    with pytest.raises(WorkerStopError):
        room.supervisor.stop()


def test_a_refused_start_ends_the_others_too(room: Room) -> None:
    def refuse(place: int) -> FakeChild:
        child = room.start(place)
        if place == 1:
            child.ended = ChildEnding(exit_code=ExitCode.REFUSED, problems=(AWAY,))
        return child

    supervisor = WorkerSupervisor(
        count=2,
        start_child=refuse,
        limits=SupervisionLimits(drain_seconds=DRAIN_SECONDS, max_memory_mib=MAX_MEMORY_MIB),
        on_ready=room.announced.append,
    )
    with StopSignals() as signals, pytest.raises(ChildFailedError):
        signals.ready()
        supervisor.run(signals)
    assert room.started[0].signals == [signal.SIGTERM]
    assert room.announced == []


def test_a_signal_ends_the_run_while_processes_still_start(room: Room) -> None:
    with StopSignals() as signals:
        signals.ready()
        room.supervisor.look()
        signal.raise_signal(signal.SIGTERM)
        room.supervisor.run(signals)
    assert [child.signals for child in room.started] == [[signal.SIGTERM]] * 2
    assert room.announced == []

"""Keeps several worker processes serving: starts, watches and replaces them, and ends them together."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from modules.application.errors import ServiceError
from modules.cli.exit_codes import ChildFailedError
from modules.cli.stop_signals import StopSignals
from modules.cli.supervision_rules import RestartPauses, resident_mib
from modules.cli.worker_child import Child, ChildEnding
from modules.logger.logger_service import get_logger

LOOK_EVERY_SECONDS = 0.2
MEMORY_LOOK_EVERY_SECONDS = 5.0
MEMORY_LOG_EVERY_SECONDS = 60.0
KILL_SECONDS = 2.0
# A process that was asked to end before it could handle signals ends by the signal.
_CLEAN_EXITS = (0, -signal.SIGTERM)


class WorkerStopError(ServiceError):
    """Worker processes were told to stop and did not finish what they did."""

    def __init__(self, unfinished: int, seconds: float) -> None:
        super().__init__(
            code="stop_timeout",
            reason=f"{unfinished} worker process(es) did not finish within {seconds:g} s and were ended",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisionLimits:
    """How long a process may take to finish, and its resident memory above which it has to."""

    drain_seconds: float
    max_memory_mib: int


@dataclass(slots=True, kw_only=True)
class _Place:
    """Where one process belongs; without one, the next is due at `start_at`. Times are monotonic."""

    number: int
    start_at: float
    child: Child | None = None
    started_at: float = 0.0
    ready: bool = False
    kill_at: float | None = None
    pauses: RestartPauses = field(default_factory=RestartPauses)


class WorkerSupervisor:
    """Belongs to the main thread. `start_child` is given the place's number, from 0 on; may raise OSError."""

    def __init__(
        self,
        *,
        count: int,
        start_child: Callable[[int], Child],
        limits: SupervisionLimits,
        on_ready: Callable[[Sequence[int]], None],
        memory_of: Callable[[int], int | None] = resident_mib,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start_child = start_child
        self._limits = limits
        self._on_ready = on_ready
        self._memory_of = memory_of
        self._now = now
        self._places = [_Place(number=number, start_at=now()) for number in range(count)]
        self._announced = False
        self._memory_look_at = self._memory_log_at = now()
        self._log = get_logger()

    def run(self, signals: StopSignals) -> None:
        """Keep the processes serving until a signal asks to stop, then have them finish.

        Calls `on_ready` with their ids once all serve. Raises ChildFailedError when one refuses to start
        before that, WorkerStopError when one had to be ended.
        """
        try:
            while not signals.wait(LOOK_EVERY_SECONDS):
                self.look()
        except BaseException:
            with suppress(WorkerStopError):
                self.stop()
            raise
        self.stop()

    def look(self) -> None:
        """Do what is due now."""
        for place in self._places:
            self._look_at(place)
        self._announce()
        if self._announced and self._now() >= self._memory_look_at:
            self._memory_look_at = self._now() + MEMORY_LOOK_EVERY_SECONDS
            self._look_at_memory()

    def stop(self) -> None:
        """Have every process finish, end those that take too long; raises WorkerStopError."""
        children = [place.child for place in self._places if place.child is not None]
        for child in children:
            child.terminate()
        deadline = self._now() + self._limits.drain_seconds
        unfinished = 0
        for child in children:
            ending = child.wait(max(0.0, deadline - self._now()))
            if ending is None:
                child.kill()
                child.wait(KILL_SECONDS)
            if ending is None or ending.exit_code not in _CLEAN_EXITS:
                unfinished += 1
        if unfinished:
            raise WorkerStopError(unfinished, self._limits.drain_seconds)

    def _look_at(self, place: _Place) -> None:
        if place.child is None:
            if self._now() >= place.start_at:
                self._start(place)
            return
        place.ready = place.ready or place.child.is_ready()
        ending = place.child.ending()
        if ending is not None:
            self._handle_ending(place, place.child, ending)
        elif place.kill_at is not None and self._now() >= place.kill_at:
            place.child.kill()

    def _start(self, place: _Place) -> None:
        place.started_at, place.ready, place.kill_at = self._now(), False, None
        try:
            place.child = self._start_child(place.number)
        except OSError as error:
            pause_seconds = self._pause(place)
            self._log.error(
                "a worker process cannot be started",
                action="worker.process_not_started",
                reason=error.strerror,
                again_in_seconds=pause_seconds,
            )
            return
        self._log.info(
            "a worker process was started",
            action="worker.process_started",
            pid=place.child.pid,
            process=place.number,
        )

    def _handle_ending(self, place: _Place, child: Child, ending: ChildEnding) -> None:
        if not self._announced and ending.problems:
            place.child = None
            raise ChildFailedError(ending.exit_code, ending.problems)
        drained = place.kill_at is not None
        pause_seconds = self._pause(place)
        if drained:
            return
        self._log.error(
            "a worker process ended by itself",
            action="worker.process_ended",
            pid=child.pid,
            exit_code=ending.exit_code,
            reason="; ".join(f"{problem.reason} ({problem.code})" for problem in ending.problems) or None,
            again_in_seconds=pause_seconds,
        )

    def _pause(self, place: _Place) -> float:
        now = self._now()
        pause_seconds = place.pauses.after(now - place.started_at)
        place.child, place.ready, place.start_at = None, False, now + pause_seconds
        return pause_seconds

    def _announce(self) -> None:
        if self._announced or not all(place.ready for place in self._places):
            return
        self._announced = True
        self._on_ready([place.child.pid for place in self._places if place.child is not None])

    def _look_at_memory(self) -> None:
        logging = self._now() >= self._memory_log_at
        if logging:
            self._memory_log_at = self._now() + MEMORY_LOG_EVERY_SECONDS
        for place in self._places:
            if place.child is None:
                continue
            rss_mib = self._memory_of(place.child.pid)
            if rss_mib is None:
                continue
            if logging:
                self._log.info(
                    "memory of a worker process",
                    action="worker.memory",
                    pid=place.child.pid,
                    rss_mib=rss_mib,
                )
            if rss_mib > self._limits.max_memory_mib:
                self._drain(place, place.child, rss_mib)

    def _drain(self, place: _Place, child: Child, rss_mib: int) -> None:
        # One at a time, so that the others go on serving.
        if any(other.kill_at is not None for other in self._places):
            return
        place.kill_at = self._now() + self._limits.drain_seconds
        child.terminate()
        self._log.warning(
            "a worker process is too large and is replaced",
            action="worker.over_memory",
            pid=child.pid,
            rss_mib=rss_mib,
            max_memory_mib=self._limits.max_memory_mib,
        )

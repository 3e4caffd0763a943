"""Carries out the schedule on processes and servers, and starts again what ended by itself."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol

from benchmarks.nemesis.records import SelfEnd, StandStill
from benchmarks.nemesis.schedule import CALLERS, MONGODB, PROVIDER, TEMPORAL, WORKERS, Fault, FaultKind
from local_stack.types import ServerHandle
from simulator.client import SimulatorControl
from tests.support.mongodb_nodes import MongodbNodes
from tests.support.service_process import ServiceProcess

# A member that was killed is away for so long.
DEAD_SECONDS = 4.0
LOOK_SECONDS = 0.2
LOG_CHARACTERS = 300


class Begin(Protocol):
    """Starts the process that takes a killed one's place."""

    def __call__(self, target: str, fault: Fault | None) -> ServiceProcess: ...


class FaultHand:
    """Does what the schedule says to the processes, which it keeps by their targets' names."""

    def __init__(
        self, *, begin: Begin, nodes: MongodbNodes, temporal: ServerHandle, simulator: SimulatorControl
    ) -> None:
        self._begin = begin
        self._nodes = nodes
        self._temporal = temporal
        self._simulator = simulator
        self.processes = {target: begin(target, None) for target in (*WORKERS, *CALLERS)}
        self.stand_stills: list[StandStill] = []
        self.self_ends: list[SelfEnd] = []
        self.done: list[Fault] = []
        self._locks = {target: threading.Lock() for target in self.processes}
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._keep_running, name="keep-running")
        self._watch.start()

    def carry_out(self, schedule: Sequence[Fault], tell: Callable[[str], None]) -> None:
        """Return when the last fault has ended. What a fault could not do is told and is no failure."""
        started = time.monotonic()
        with ThreadPoolExecutor(len(schedule) or 1) as pool:
            under_way: list[Future[None]] = []
            for fault in schedule:
                self._ended.wait(max(0.0, started + fault.at - time.monotonic()))
                tell(
                    f"{time.monotonic() - started:7.1f} s  {fault.target} {fault.kind} {fault.options or ''}"
                )
                under_way.append(pool.submit(self._do, fault))
            for each in under_way:
                if each.exception() is not None:
                    tell(f"a fault was not carried out: {each.exception()!r}")

    def calm(self) -> None:
        """No caller is left, and the provider answers well again; workers that end are still replaced."""
        for target in CALLERS:
            with self._locks[target]:
                self.processes.pop(target).kill()
        self._simulator.reset()
        self._simulator.set_oauth()

    def close(self) -> None:
        """Replace no process any more; those that run are left to whoever opened the room."""
        self._ended.set()
        self._watch.join()

    def _keep_running(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            for target in list(self.processes):
                with self._locks[target]:
                    process = self.processes.get(target)
                    if process is None or process.is_running:
                        continue
                    last = process.output.strip().rpartition("\n")[2][-LOG_CHARACTERS:]
                    self.self_ends.append(
                        SelfEnd(process=target, at=time.time(), exit_code=process.exit_code(), last_line=last)
                    )
                    self.processes[target] = self._begin(target, None)

    def _do(self, fault: Fault) -> None:
        if fault.target in self._locks:
            with self._locks[fault.target]:
                self._to_process(fault)
        elif fault.target == MONGODB:
            self._to_mongodb(fault)
        elif fault.target == TEMPORAL:
            self._to_temporal(fault)
        else:
            assert fault.target == PROVIDER
            self._to_provider(fault)
        self.done.append(fault)

    def _to_process(self, fault: Fault) -> None:
        process = self.processes[fault.target]
        if fault.kind is FaultKind.STOP:
            if process.is_running:
                with self._standing_still(fault.target):
                    process.pause()
                    self._ended.wait(fault.seconds)
                    process.resume()
            return
        if fault.kind is FaultKind.TERMINATE and process.is_running:
            process.terminate()
            process.exit_code()
        else:
            process.kill()
        self.processes[fault.target] = self._begin(fault.target, fault)

    @contextmanager
    def _standing_still(self, process: str) -> Iterator[None]:
        began_at = time.time()
        try:
            yield
        finally:
            self.stand_stills.append(StandStill(process=process, began_at=began_at, ended_at=time.time()))

    def _to_mongodb(self, fault: Fault) -> None:
        primary = self._nodes.wait_for_primary()
        secondaries = [name for name in self._nodes.servers if name != primary]
        match fault.kind:
            case FaultKind.STEP_DOWN | FaultKind.STEP_DOWN_BY_FORCE:
                force = fault.kind is FaultKind.STEP_DOWN_BY_FORCE
                self._nodes.step_down(seconds=int(fault.seconds) + 1, force=force)
            case FaultKind.KILL_PRIMARY:
                server = self._nodes.servers[primary]
                server.kill()
                self._ended.wait(DEAD_SECONDS)
                server.restart()
            case FaultKind.STOP_PRIMARY:
                self._pause([primary], fault.seconds)
            case FaultKind.STOP_SECONDARY:
                self._pause(secondaries[:1], fault.seconds)
            case _:
                self._pause(secondaries, fault.seconds)

    def _pause(self, names: Sequence[str], seconds: float) -> None:
        for name in names:
            self._nodes.pause(name)
        self._ended.wait(seconds)
        for name in names:
            self._nodes.resume(name)

    def _to_temporal(self, fault: Fault) -> None:
        if fault.kind is FaultKind.RESTART:
            if fault.options["kill"]:
                self._temporal.kill()
            self._temporal.restart()
            return
        os.kill(self._temporal.pid, signal.SIGSTOP)
        self._ended.wait(fault.seconds)
        os.kill(self._temporal.pid, signal.SIGCONT)

    def _to_provider(self, fault: Fault) -> None:
        options = fault.options
        match fault.kind:
            case FaultKind.ANSWER:
                rule = self._simulator.add_rule(**options)
                self._ended.wait(fault.seconds)
                self._simulator.remove_rule(rule)
            case FaultKind.GOAWAY_EVERY:
                self._simulator.goaway_every(options["requests"])
                self._ended.wait(fault.seconds)
                self._simulator.goaway_every(None)
            case FaultKind.REVOKE_TOKENS:
                self._simulator.revoke_tokens()
            case _:
                self._simulator.set_oauth(**options)
                self._simulator.revoke_tokens()
                self._ended.wait(fault.seconds)
                self._simulator.set_oauth()

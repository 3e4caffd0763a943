"""Starts servers side by side, and again on other ports when one was taken in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass

from local_stack.errors import ServerStartError
from local_stack.internals.free_ports import PortChooser, is_free
from local_stack.internals.server_process import ServerDefinition, ServerProcess
from local_stack.internals.stack_folder import StackFolder
from local_stack.types import Progress

PORT_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """A server to start: the names of its ports, and its definition once they are chosen.

    `version` is the program's, where its data cannot be read by another one.
    """

    name: str
    port_names: tuple[str, ...]
    define: Callable[[dict[str, int]], ServerDefinition]
    version: str = ""


class ServerLauncher:
    """The servers of one stack. The folder's state names each process before anybody waits for it."""

    def __init__(self, folder: StackFolder, chooser: PortChooser, on_progress: Progress) -> None:
        self._folder = folder
        self._chooser = chooser
        self._on_progress = on_progress
        self._state_lock = threading.Lock()
        self._cancelled = threading.Event()
        self._servers: dict[str, ServerProcess] = {}
        self._ports: dict[str, int] = {}

    @property
    def servers(self) -> Mapping[str, ServerProcess]:
        return self._servers

    @property
    def ports(self) -> Mapping[str, int]:
        return self._ports

    def start_all(self, plans: Sequence[LaunchPlan]) -> None:
        """Returns when all are ready. When one fails or we are interrupted the others give up."""
        with ThreadPoolExecutor(max(1, len(plans)), thread_name_prefix="local-stack") as pool:
            started = [pool.submit(self._start, plan) for plan in plans]
            try:
                wait(started, return_when=FIRST_EXCEPTION)
                failures = [future.exception() for future in started if future.done()]
            finally:
                # Whoever still waits is not wanted any more: another one failed, or we were interrupted.
                self._cancelled.set()
        failure = next((failure for failure in failures if failure is not None), None)
        if failure is not None:
            raise failure

    def stop_all(self) -> None:
        """Stop every server side by side; returns when none of this run's processes is left."""
        self._cancelled.set()
        servers = list(self._servers.values())
        with ThreadPoolExecutor(max(1, len(servers)), thread_name_prefix="local-stack") as pool:
            list(pool.map(ServerProcess.stop, servers))
        self._folder.end_processes()
        self._folder.state.processes = []
        self._folder.save()

    def _start(self, plan: LaunchPlan) -> None:
        started = time.monotonic()
        for attempt in range(PORT_ATTEMPTS):
            ports = {name: self._chooser.choose(name, fresh=attempt > 0) for name in plan.port_names}
            server = ServerProcess(plan.define(ports), self._remember)
            with self._state_lock:
                self._servers[plan.name] = server
                self._ports.update(ports)
            try:
                server.start(self._cancelled)
            except ServerStartError:
                # The process is gone, so a port that is not free now was taken by another one.
                if attempt + 1 == PORT_ATTEMPTS or all(is_free(port) for port in ports.values()):
                    raise
                continue
            self._folder.mark_complete(plan.name, plan.version)
            seconds = time.monotonic() - started
            self._on_progress(f"{plan.name} is ready on port {ports[plan.name]} after {seconds:.1f} s")
            return

    def _remember(self) -> None:
        with self._state_lock:
            identities = [server.identity() for server in self._servers.values()]
            self._folder.state.processes = [identity for identity in identities if identity is not None]
            self._folder.state.ports = dict(self._ports)
            self._folder.save()

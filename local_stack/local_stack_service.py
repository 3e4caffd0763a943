"""Finds or starts the servers that the demo, `make up`, the tests and the benchmarks run against."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Self

from local_stack.errors import ServerStartError
from local_stack.internals.free_ports import LOOPBACK, PortChooser
from local_stack.internals.mongodb_server import find_mongod, mongodb_names, mongodb_uri
from local_stack.internals.server_launcher import ServerLauncher
from local_stack.internals.simulator_server import simulator_address
from local_stack.internals.sourced_environment import as_shell_script, forget_sourced
from local_stack.internals.stack_folder import StackFolder
from local_stack.internals.stack_plans import plan_servers
from local_stack.internals.store.replica_set import check_reachable, join_members
from local_stack.internals.temporal_binary import obtain_temporal
from local_stack.internals.temporal_server import check_temporal_reachable
from local_stack.internals.waiting import wait_until
from local_stack.types import (
    LocalStackParams,
    Progress,
    ServerHandle,
    SimulatorAddress,
    no_progress,
)
from modules.application.errors import ServiceError


class LocalStack:
    """Running servers and their addresses; a context manager that stops what it started.

    A server that the environment named has an address here and no handle in `servers`: it is not ours.
    """

    def __init__(
        self,
        *,
        folder: StackFolder,
        launcher: ServerLauncher,
        keep_data: bool,
        environment: Mapping[str, str],
        simulator: SimulatorAddress | None,
    ) -> None:
        self._folder = folder
        self._launcher = launcher
        self._keep_data = keep_data
        self._environment = dict(environment)
        self._simulator = simulator
        self._stopped = False

    @property
    def folder(self) -> Path:
        return self._folder.path

    @property
    def mongodb_uri(self) -> str:
        return self._address("MONGODB_URI")

    @property
    def temporal_address(self) -> str:
        return self._address("TEMPORAL_ADDRESS")

    @property
    def ui_url(self) -> str | None:
        """The Web UI's address; None when the stack runs without it, or the environment does not name it."""
        return self._environment.get("TEMPORAL_UI_URL")

    @property
    def simulator(self) -> SimulatorAddress:
        if self._simulator is None:
            raise _not_in_stack("the simulator")
        return self._simulator

    @property
    def servers(self) -> Mapping[str, ServerHandle]:
        """The servers this stack started: mongodb (mongodb_2 … of a larger set), temporal, simulator."""
        return self._launcher.servers

    def environment(self) -> dict[str, str]:
        """The variables that point a child process at these servers."""
        return dict(self._environment)

    def shell_script(self) -> str:
        """What a shell sources to use these servers: the variables, and `notifications` on its PATH."""
        return as_shell_script(self._environment)

    def stop(self) -> None:
        """Stop what was started; returns when no process of it is left. The second time nothing happens."""
        if self._stopped:
            return
        self._stopped = True
        try:
            self._launcher.stop_all()
            if not self._keep_data:
                self._folder.wipe_data()
        finally:
            self._folder.close()

    def _address(self, variable: str) -> str:
        if variable not in self._environment:
            raise _not_in_stack(variable)
        return self._environment[variable]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class LocalStackService:
    """Local servers for development, tests and benchmarks; never for production."""

    @staticmethod
    def forget_sourced(environment: MutableMapping[str, str]) -> list[str]:
        """Remove what a sourced `LocalStack.shell_script` has set; returns the names."""
        return forget_sourced(environment)

    @staticmethod
    def start(params: LocalStackParams) -> LocalStack:
        """Start what `params` asks for and return when all of it is ready; a failure leaves nothing running.

        Raises StackInUseError, StackFolderError, PortTakenError, ToolMissingError, ServerStartError or
        ServerUnreachableError; each says in one line what to do.
        """
        configured = _configured_servers(params)
        folder = StackFolder(params.folder)
        folder.open()
        try:
            return _start_in(folder, params, configured)
        except BaseException:
            folder.close()
            raise

    @staticmethod
    def prepare(on_progress: Progress = no_progress) -> None:
        """Obtain the servers' programs without starting any, as far as the environment names no servers."""
        if not os.environ.get("MONGODB_URI"):
            find_mongod()
        if not os.environ.get("TEMPORAL_ADDRESS"):
            obtain_temporal(on_progress)


def _not_in_stack(what: str) -> ServiceError:
    return ServiceError(code="not_in_local_stack", reason=f"this stack was started without {what}")


def _configured_servers(params: LocalStackParams) -> dict[str, str]:
    """The addresses of servers that run already, each one checked."""
    if not params.use_configured:
        return {}
    found = {}
    mongodb, temporal = os.environ.get("MONGODB_URI"), os.environ.get("TEMPORAL_ADDRESS")
    if params.mongodb and mongodb:
        check_reachable(mongodb)
        found["MONGODB_URI"] = mongodb
    if params.temporal and temporal:
        check_temporal_reachable(temporal)
        found["TEMPORAL_ADDRESS"] = temporal
        if os.environ.get("TEMPORAL_UI_URL"):
            found["TEMPORAL_UI_URL"] = os.environ["TEMPORAL_UI_URL"]
    return found


def _start_in(folder: StackFolder, params: LocalStackParams, configured: Mapping[str, str]) -> LocalStack:
    if not params.keep_data:
        folder.wipe_data()
    plans = plan_servers(folder, params, configured)
    chooser = PortChooser(params.ports, folder.state.ports, params.on_progress)
    launcher = ServerLauncher(folder, chooser, params.on_progress)
    try:
        launcher.start_all(plans)
        return _running(folder, params, configured, launcher)
    except BaseException:
        launcher.stop_all()
        raise


def _running(
    folder: StackFolder, params: LocalStackParams, configured: Mapping[str, str], launcher: ServerLauncher
) -> LocalStack:
    ports, environment = launcher.ports, dict(configured)
    if "mongodb" in ports:
        environment["MONGODB_URI"] = _replica_set(params, ports)
    if "temporal" in ports:
        environment["TEMPORAL_ADDRESS"] = f"{LOOPBACK}:{ports['temporal']}"
        if params.temporal_ui:
            environment["TEMPORAL_UI_URL"] = f"http://{LOOPBACK}:{ports['temporal_ui']}"
    simulator = None
    if "simulator" in ports:
        simulator = simulator_address(folder)
        environment["FCM_ENDPOINT"] = simulator.endpoint
        environment["FCM_CA_FILE"] = str(simulator.ca_file)
        environment["FCM_CREDENTIALS_PATH"] = str(simulator.credentials_path)
    return LocalStack(
        folder=folder,
        launcher=launcher,
        keep_data=params.keep_data,
        environment=environment,
        simulator=simulator,
    )


def _replica_set(params: LocalStackParams, ports: Mapping[str, int]) -> str:
    """The address of the set, with a primary; raises ServerStartError when several find none in time."""
    members = [ports[name] for name in mongodb_names(params.mongodb_nodes)]
    seconds = params.start_timeout_seconds
    if len(members) > 1 and not wait_until(lambda: join_members(LOOPBACK, members), timeout_seconds=seconds):
        raise ServerStartError(f"the mongods did not agree on a primary in {seconds:.0f} s")
    return mongodb_uri(members)

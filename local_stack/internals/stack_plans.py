"""Turns what was asked of a stack into the servers to start, with their programs found and data checked."""

from __future__ import annotations

from collections.abc import Mapping

from local_stack.internals.mongodb_server import define_mongodb, find_mongod, mongodb_names
from local_stack.internals.server_launcher import LaunchPlan
from local_stack.internals.simulator_server import define_simulator
from local_stack.internals.stack_folder import StackFolder
from local_stack.internals.temporal_binary import obtain_temporal
from local_stack.internals.temporal_server import define_temporal
from local_stack.types import LocalStackParams, SimulatorEngine


def plan_servers(
    folder: StackFolder, params: LocalStackParams, configured: Mapping[str, str]
) -> list[LaunchPlan]:
    """Servers that are configured already are left out. Raises ToolMissingError or StackFolderError."""
    plans = []
    if params.mongodb and "MONGODB_URI" not in configured:
        plans += _plan_mongodb(folder, params)
    if params.temporal and "TEMPORAL_ADDRESS" not in configured:
        plans.append(_plan_temporal(folder, params))
    if params.simulator is not None:
        plans.append(_plan_simulator(folder, params, params.simulator))
    return plans


def _plan_mongodb(folder: StackFolder, params: LocalStackParams) -> list[LaunchPlan]:
    program = find_mongod()

    def plan(name: str) -> LaunchPlan:
        return LaunchPlan(
            name=name,
            port_names=(name,),
            define=lambda ports: define_mongodb(
                name=name,
                alone=params.mongodb_nodes == 1,
                program=program,
                folder=folder,
                port=ports[name],
                cache_gigabytes=params.mongodb_cache_gigabytes,
                start_timeout_seconds=params.start_timeout_seconds,
            ),
        )

    return [plan(name) for name in mongodb_names(params.mongodb_nodes)]


def _plan_temporal(folder: StackFolder, params: LocalStackParams) -> LaunchPlan:
    binary = obtain_temporal(params.on_progress)
    # The development server creates its SQLite schema and never migrates it.
    folder.check_version("temporal", binary.server_version)
    port_names = ["temporal", "temporal_http", "temporal_metrics"]
    if params.temporal_ui:
        port_names.append("temporal_ui")
    return LaunchPlan(
        name="temporal",
        port_names=tuple(port_names),
        version=binary.server_version,
        define=lambda ports: define_temporal(
            program=binary.path,
            folder=folder,
            ports=ports,
            ui=params.temporal_ui,
            start_timeout_seconds=params.start_timeout_seconds,
        ),
    )


def _plan_simulator(folder: StackFolder, params: LocalStackParams, engine: SimulatorEngine) -> LaunchPlan:
    return LaunchPlan(
        name="simulator",
        port_names=("simulator",),
        define=lambda ports: define_simulator(
            folder=folder,
            port=ports["simulator"],
            engine=engine,
            start_timeout_seconds=params.start_timeout_seconds,
        ),
    )

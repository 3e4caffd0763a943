"""Says how to run the FCM simulator as a process, and reads from its first line where it listens."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import modules
from local_stack.errors import ServerStartError
from local_stack.internals.server_environment import server_environment
from local_stack.internals.server_process import ServerDefinition
from local_stack.internals.stack_folder import StackFolder
from local_stack.types import SimulatorAddress, SimulatorEngine

STOP_TIMEOUT_SECONDS = 5.0
OUTPUT_NAME = "ready.json"
PROJECT_FOLDER = Path(modules.__path__[0]).parent


def define_simulator(
    *, folder: StackFolder, port: int, engine: SimulatorEngine, start_timeout_seconds: float
) -> ServerDefinition:
    """The simulator on the port, ready when it has said so on stdout."""
    data = folder.data("simulator")
    command = [sys.executable, "-m", "simulator", "--port", str(port), "--folder", str(data)]
    return ServerDefinition(
        name="simulator",
        command=(*command, "--engine", engine),
        environment=server_environment(temporary=folder.temporary(), run_id=folder.state.run_id),
        working_folder=PROJECT_FOLDER,
        log_path=folder.log("simulator"),
        output_path=data / OUTPUT_NAME,
        is_ready=lambda pid: _read_address(data) is not None,
        start_timeout_seconds=start_timeout_seconds,
        stop_timeout_seconds=STOP_TIMEOUT_SECONDS,
    )


def simulator_address(folder: StackFolder) -> SimulatorAddress:
    """Where the simulator that is ready listens."""
    address = _read_address(folder.data("simulator"))
    if address is None:
        raise ServerStartError("the simulator has not said where it listens")
    return address


def _read_address(data: Path) -> SimulatorAddress | None:
    line, newline, _ = data.joinpath(OUTPUT_NAME).read_text().partition("\n")
    if not newline:
        return None
    try:
        ready = json.loads(line)
        return SimulatorAddress(
            endpoint=ready["endpoint"],
            ca_file=Path(ready["ca_file"]).resolve(),
            credentials_path=Path(ready["credentials_path"]).resolve(),
            folder=data,
        )
    except (ValueError, KeyError, TypeError):
        raise ServerStartError(f"the simulator's first line is not its address: {line[:200]}") from None

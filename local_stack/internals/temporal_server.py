"""Says how to run Temporal's development server, and when it and its Web UI are ready."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path

from local_stack.errors import ServerUnreachableError
from local_stack.internals.free_ports import LOOPBACK
from local_stack.internals.process_identity import listens
from local_stack.internals.server_environment import server_environment
from local_stack.internals.server_process import ServerDefinition
from local_stack.internals.stack_folder import StackFolder

STOP_TIMEOUT_SECONDS = 5.0
ANSWER_TIMEOUT_SECONDS = 3.0
NAMESPACE_PATH = "/api/v1/namespaces/default"
DYNAMIC_CONFIG = {
    # By default each history queue is read 20 times a second, so every task waits up to 50 ms.
    "history.transferProcessorMaxPollRPS": 2000,
    "history.timerProcessorMaxPollRPS": 2000,
    "matching.numTaskqueueReadPartitions": 1,
    "matching.numTaskqueueWritePartitions": 1,
}
# Survives kill -9 of the server (the log is in the page cache); 1.6 times the rate of the default on 2 cores.
SQLITE_PRAGMAS = {"journal_mode": "wal", "synchronous": "1"}


def define_temporal(
    *, program: Path, folder: StackFolder, ports: dict[str, int], ui: bool, start_timeout_seconds: float
) -> ServerDefinition:
    """The server on ports["temporal"]; its HTTP API, metrics and Web UI on ports of their own."""
    database = folder.data("temporal") / "temporal.db"
    command = [str(program), "server", "start-dev", "--ip", LOOPBACK, "--port", str(ports["temporal"])]
    command += ["--http-port", str(ports["temporal_http"]), "--metrics-port", str(ports["temporal_metrics"])]
    command += ["--ui-port", str(ports["temporal_ui"])] if ui else ["--headless"]
    command += ["--db-filename", str(database), "--log-level", "warn", "--log-format", "json"]
    for name, number in DYNAMIC_CONFIG.items():
        command += ["--dynamic-config-value", f"{name}={json.dumps(number)}"]
    for name, value in SQLITE_PRAGMAS.items():
        command += ["--sqlite-pragma", f"{name}={value}"]

    def is_ready(pid: int) -> bool:
        pages = [ports["temporal_http"]] + ([ports["temporal_ui"]] if ui else [])
        return listens(pid, ports["temporal"]) and all(_answers(port) for port in pages)

    return ServerDefinition(
        name="temporal",
        command=tuple(command),
        environment=server_environment(temporary=folder.temporary(), run_id=folder.state.run_id),
        working_folder=folder.path,
        log_path=folder.log("temporal"),
        is_ready=is_ready,
        start_timeout_seconds=start_timeout_seconds,
        stop_timeout_seconds=STOP_TIMEOUT_SECONDS,
    )


def check_temporal_reachable(address: str) -> None:
    """Raises ServerUnreachableError unless something listens at the `host:port`."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_TIMEOUT_SECONDS).close()
    except (OSError, ValueError, OverflowError):
        raise ServerUnreachableError(
            f"no Temporal answers at {address}, which TEMPORAL_ADDRESS names:"
            " start it, or unset TEMPORAL_ADDRESS to have one started",
            field="TEMPORAL_ADDRESS",
        ) from None


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=ANSWER_TIMEOUT_SECONDS)
    try:
        connection.request("GET", NAMESPACE_PATH)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

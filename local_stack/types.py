"""What callers ask of a local stack, and what they get to hold of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

SimulatorEngine = Literal["h2", "granian"]
Progress = Callable[[str], None]


def no_progress(line: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPorts:
    """Loopback ports wished for; None leaves the choice to the stack.

    A wished port that is taken is replaced by a free one, and `on_progress` says so; with `required` it is
    a PortTakenError.
    """

    temporal: int | None = None
    temporal_ui: int | None = None
    mongodb: int | None = None
    simulator: int | None = None
    required: bool = False


# Where these servers stand by default everywhere; config/default.yml looks there for Temporal and MongoDB.
STABLE_PORTS = StackPorts(temporal=7233, temporal_ui=8233, mongodb=27017, simulator=8443)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStackParams:
    """Which servers to run, and where they keep what they write.

    `folder` gets `data/`, `logs/`, `tmp/` and the stack's own state; one stack at a time runs in it.
    `keep_data` False starts with empty servers and leaves only the logs behind.
    `use_configured` True takes the servers that MONGODB_URI and TEMPORAL_ADDRESS name, if they do.
    `mongodb_nodes` above 1 makes a replica set of so many servers, named mongodb, mongodb_2 … `simulator` is
    the engine of the FCM simulator, None runs none.
    """

    folder: Path
    temporal: bool = True
    temporal_ui: bool = True
    mongodb: bool = True
    simulator: SimulatorEngine | None = "h2"
    keep_data: bool = False
    use_configured: bool = True
    ports: StackPorts = field(default_factory=StackPorts)
    mongodb_nodes: int = 1
    mongodb_cache_gigabytes: float = 0.5
    start_timeout_seconds: float = 60.0
    on_progress: Progress = no_progress


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorAddress:
    """Where the FCM simulator listens and what a client needs for it; `folder` holds what it writes."""

    endpoint: str
    ca_file: Path
    credentials_path: Path
    folder: Path


class ServerHandle(Protocol):
    """One running server of the stack. All calls block until what they name has happened."""

    @property
    def name(self) -> str: ...

    @property
    def pid(self) -> int:
        """The process id of the running, or last run, server."""

    @property
    def log_path(self) -> Path: ...

    @property
    def is_running(self) -> bool: ...

    def kill(self) -> None:
        """End the server and its children at once (SIGKILL); returns when they are gone."""

    def stop(self) -> None:
        """Ask the server to end (SIGTERM), and make it after a bound; returns when it is gone."""

    def restart(self) -> None:
        """Stop it if it runs and start it again with the same port and data; returns when it is ready."""

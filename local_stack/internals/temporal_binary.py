"""Gets hold of Temporal's program: found, downloaded by the SDK, or built with Go once a machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import modules
from local_stack.errors import StackFolderError, ToolMissingError
from local_stack.internals.cache_folder import cache_path, exclusive_work_folder
from local_stack.internals.tool_runner import run_tool
from local_stack.types import Progress

CLI_VERSION = "1.5.1"
# The first server these settings were measured on; older ones on PATH are passed over.
MINIMUM_SERVER = (1, 29)
GO_MODULE = f"github.com/temporalio/cli/cmd/temporal@v{CLI_VERSION}"
DOWNLOAD_TIMEOUT_SECONDS = 600.0
BUILD_TIMEOUT_SECONDS = 1800.0
VERSION_TIMEOUT_SECONDS = 60.0
# Measured at its peak: sources, build cache and program of one `go install` are 4,537 MB.
BUILD_MEGABYTES = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporalBinary:
    """A program that has answered `--version`; `server_version` stamps the data it writes."""

    path: Path
    server_version: str


def obtain_temporal(on_progress: Progress) -> TemporalBinary:
    """On PATH or in the cache folder, else downloaded, else built; else raises ToolMissingError."""
    cache = cache_path()
    cached = cache / f"temporal-{CLI_VERSION}"
    on_path = shutil.which("temporal")
    found = (on_path and inspect(Path(on_path))) or inspect(cached)
    if found:
        return found
    with exclusive_work_folder(cache, on_progress) as folder:
        found = inspect(cached)
        if found:
            return found
        reasons = []
        for way in (_download, _build):
            made = way(folder, on_progress)
            if isinstance(made, TemporalBinary):
                # The rename is atomic: other processes see no program or a whole one.
                made.path.replace(cached)
                return replace(made, path=cached)
            reasons.append(made)
    needed = ".".join(map(str, MINIMUM_SERVER))
    raise ToolMissingError(
        f"no Temporal server: (1) TEMPORAL_ADDRESS is not set; (2) no `temporal` of Server {needed} or newer"
        f" on PATH or in {cache}; (3) the SDK's download: {reasons[0]}; (4) go install: {reasons[1]}."
        " Provide any one of the four"
    )


def inspect(program: Path) -> TemporalBinary | None:
    """None unless the program runs and its server is new enough."""
    if not program.exists():
        return None
    try:
        answer = subprocess.run(  # noqa: S603
            [program, "--version"],
            capture_output=True,
            text=True,
            timeout=VERSION_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, UnicodeDecodeError, subprocess.TimeoutExpired):
        return None
    version = re.search(r"Server (\d+)\.(\d+)[\w.+-]*", answer.stdout)
    if answer.returncode or version is None or (int(version[1]), int(version[2])) < MINIMUM_SERVER:
        return None
    return TemporalBinary(path=program, server_version=f"Temporal {version[0]}")


def _download(folder: Path, on_progress: Progress) -> TemporalBinary | str:
    """The program, or why there is none."""
    on_progress("downloading Temporal, once per machine")
    target = folder / "download"
    target.mkdir()

    def tell(elapsed: float, log: Path) -> None:
        size = sum(path.stat().st_size for path in target.glob("*"))
        on_progress(f"downloading Temporal: {size // 2**20} MB after {elapsed:.0f} s")

    module = "local_stack.internals.temporal_download"
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(Path(modules.__path__[0]).parent)}
    failure = run_tool(
        [sys.executable, "-m", module, f"v{CLI_VERSION}", str(target)],
        environment=environment,
        folder=folder,
        timeout_seconds=DOWNLOAD_TIMEOUT_SECONDS,
        tell=tell,
    )
    return failure or _only_program(target.glob("temporal*"))


def _build(folder: Path, on_progress: Progress) -> TemporalBinary | str:
    """The program, or why there is none."""
    go = shutil.which("go")
    if go is None:
        return "no `go` on PATH"
    free_megabytes = shutil.disk_usage(folder).free // 2**20
    if free_megabytes < BUILD_MEGABYTES:
        raise StackFolderError(
            f"make room: building Temporal takes {BUILD_MEGABYTES} MB, {folder.parent} has {free_megabytes}"
        )
    on_progress("building Temporal with Go, once per machine; about 4 minutes on 2 cores")

    def tell(elapsed: float, log: Path) -> None:
        packages = log.read_bytes().count(b"\n")
        on_progress(f"building Temporal: {packages} packages after {elapsed:.0f} s")

    failure = run_tool(
        [go, "install", "-v", "-modcacherw", "-ldflags", "-s -w", GO_MODULE],
        environment=go_environment(folder),
        folder=folder,
        timeout_seconds=BUILD_TIMEOUT_SECONDS,
        tell=tell,
    )
    return failure or _only_program((folder / "bin").glob("temporal"))


def go_environment(folder: Path) -> dict[str, str]:
    """Everything Go writes goes into the folder; where it downloads from stays as the machine has it."""
    config_home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    scratch = folder / "tmp"
    scratch.mkdir(exist_ok=True)
    return {
        # `go env -w` may hold the mirror, and keeps it under XDG_CONFIG_HOME, where Go writes telemetry.
        "GOENV": str(config_home / "go" / "env"),
        **os.environ,
        "XDG_CONFIG_HOME": str(folder / "config"),
        "GOPATH": str(folder / "go"),
        "GOMODCACHE": str(folder / "go" / "mod"),
        "GOCACHE": str(folder / "cache"),
        "GOBIN": str(folder / "bin"),
        "GOTMPDIR": str(scratch),
        "TMPDIR": str(scratch),
        "CGO_ENABLED": "0",
    }


def _only_program(candidates: Iterable[Path]) -> TemporalBinary | str:
    for candidate in candidates:
        found = inspect(candidate)
        if found:
            return found
    return "it left no program that runs"

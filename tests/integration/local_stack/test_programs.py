"""How a server's program is found, downloaded or built, and what is said when none can be had."""

from __future__ import annotations

import stat
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import pytest

from local_stack.errors import StackFolderError, ToolMissingError
from local_stack.internals import temporal_binary
from local_stack.internals.cache_folder import CACHE_VARIABLE, cache_path
from local_stack.internals.mongodb_server import find_mongod
from local_stack.internals.temporal_binary import CLI_VERSION, go_environment, obtain_temporal
from local_stack.types import no_progress
from tests.integration.local_stack.stacks import StackProcesses
from tests.support.servers import ROOT

TEMPORAL = """#!/bin/sh
echo "temporal version {cli} (Server {server}, UI 2.42.1)"
"""
# Stands for Go: says what it was told and writes a program where GOBIN says.
GO = """#!/bin/sh
echo "$@" >> {calls}
/usr/bin/env | /bin/grep -E '^(GOPATH|GOMODCACHE|GOCACHE|GOBIN|GOTMPDIR|TMPDIR|XDG_CONFIG_HOME)=' >> {folders}
/bin/mkdir -p "$GOBIN" "$GOCACHE"
printf '#!/bin/sh\\necho "temporal version 0.0.0-DEV (Server 1.29.1, UI 2.42.1)"\\n' > "$GOBIN/temporal"
/bin/chmod +x "$GOBIN/temporal"
"""
FAILING_GO = """#!/bin/sh
echo "go: module lookup disabled" >&2
exit 1
"""


class Machine:
    """A machine with an empty PATH and cache, and no way to the SDK's download."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.cache, self.folder = folder / "bin", folder / "cache", folder
        self.path.mkdir()
        self.environment = {
            "PATH": str(self.path),
            CACHE_VARIABLE: str(self.cache),
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "https_proxy": "http://127.0.0.1:9",
        }
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)

    def install(self, name: str, content: str) -> Path:
        return write_program(self.path / name, content)

    def cached(self) -> Path:
        return self.cache / f"temporal-{CLI_VERSION}"

    def leftovers(self) -> list[str]:
        known = {"lock", self.cached().name}
        return sorted(path.name for path in self.cache.iterdir() if path.name not in known)


def write_program(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_a_temporal_on_path_is_taken(machine: Machine) -> None:
    program = machine.install("temporal", TEMPORAL.format(cli="1.6.0", server="1.30.0"))
    found = obtain_temporal(no_progress)
    assert (found.path, found.server_version) == (program, "Temporal Server 1.30.0")
    assert not machine.cache.exists()


def test_a_temporal_on_path_that_is_too_old_is_passed_over_for_the_cached_one(machine: Machine) -> None:
    machine.install("temporal", TEMPORAL.format(cli="1.0.0", server="1.24.0"))
    write_program(machine.cached(), TEMPORAL.format(cli=CLI_VERSION, server="1.29.1"))
    assert obtain_temporal(no_progress).path == machine.cached()


def test_what_go_builds_is_cached_once_and_nothing_else_stays(machine: Machine) -> None:
    calls, folders = machine.folder / "calls", machine.folder / "folders"
    machine.install("go", GO.format(calls=calls, folders=folders))
    said: list[str] = []
    assert obtain_temporal(said.append).path == machine.cached()
    assert obtain_temporal(said.append).path == machine.cached()
    assert len(calls.read_text().splitlines()) == 1
    assert f"cmd/temporal@v{CLI_VERSION}" in calls.read_text()
    assert "-s -w" in calls.read_text()
    written_to = [line.partition("=")[2] for line in folders.read_text().splitlines()]
    assert len(written_to) == 7
    assert all(folder.startswith(str(machine.cache)) for folder in written_to)
    assert machine.leftovers() == []
    assert said == [
        "downloading Temporal, once per machine",
        "building Temporal with Go, once per machine; about 4 minutes on 2 cores",
    ]


def test_processes_that_need_it_at_once_build_it_once(machine: Machine) -> None:
    calls = machine.folder / "calls"
    machine.install("go", GO.format(calls=calls, folders=machine.folder / "folders"))
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(obtain_temporal(no_progress).path)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [machine.cached()] * 4
    assert len(calls.read_text().splitlines()) == 1


def test_a_broken_program_in_the_cache_is_replaced(machine: Machine) -> None:
    write_program(machine.cached(), "\x7fELF cut off")
    (machine.cache / "build-of-a-process-that-was-killed" / "go").mkdir(parents=True)
    machine.install("go", GO.format(calls=machine.folder / "calls", folders=machine.folder / "folders"))
    assert obtain_temporal(no_progress).server_version == "Temporal Server 1.29.1"
    assert machine.leftovers() == []


def test_what_the_sdk_downloads_is_cached(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    downloaded = TEMPORAL.format(cli=CLI_VERSION, server="1.29.1")

    def run_tool(command: list[str], *, folder: Path, **_: object) -> None:
        assert command[1:4] == ["-m", "local_stack.internals.temporal_download", f"v{CLI_VERSION}"]
        write_program(Path(command[4]) / f"temporal-v{CLI_VERSION}", downloaded)

    monkeypatch.setattr(temporal_binary, "run_tool", run_tool)
    assert obtain_temporal(no_progress).path == machine.cached()
    assert machine.leftovers() == []


def test_the_sdk_leaves_its_program_in_the_folder_it_is_given(tmp_path: Path) -> None:
    # The SDK takes a program that lies there under this name for downloaded.
    program = tmp_path / f"temporal-v{CLI_VERSION}"
    program.symlink_to(obtain_temporal(no_progress).path)
    command = [sys.executable, "-m", "local_stack.internals.temporal_download", f"v{CLI_VERSION}"]
    result = subprocess.run(
        [*command, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, check=False, timeout=60
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == [program]


def test_without_any_way_the_error_names_all_four_in_one_line(machine: Machine) -> None:
    with pytest.raises(ToolMissingError) as missing:
        obtain_temporal(no_progress)
    reason = missing.value.reason
    assert "(1) TEMPORAL_ADDRESS is not set" in reason
    assert f"(2) no `temporal` of Server 1.29 or newer on PATH or in {machine.cache}" in reason
    assert "(3) the SDK's download: " in reason
    assert "failed to download" in reason
    assert "(4) go install: no `go` on PATH" in reason
    assert "\n" not in reason
    assert machine.leftovers() == []


def test_a_build_that_fails_is_quoted(machine: Machine) -> None:
    machine.install("go", FAILING_GO)
    with pytest.raises(ToolMissingError, match=r"\(4\) go install: go: module lookup disabled\."):
        obtain_temporal(no_progress)


def test_a_start_on_a_bare_machine_ends_with_that_line_and_no_traceback(
    machine: Machine, stack_processes: StackProcesses, tmp_path: Path
) -> None:
    bare = stack_processes.start(tmp_path / "stack", "no-mongodb", environment=machine.environment)
    assert bare.read_until("error")["kind"] == "ToolMissingError"
    assert bare.process.wait(20) == 1
    assert bare.errors() == ""


def test_a_cache_that_cannot_be_written_says_what_to_set(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.raises(StackFolderError, match=f"set {CACHE_VARIABLE} to a folder that can be written"):
        obtain_temporal(no_progress)


def test_the_cache_is_one_folder_under_home_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    assert cache_path() == Path.home() / ".cache" / "notification-service"
    monkeypatch.setenv(CACHE_VARIABLE, "/somewhere/else")
    assert cache_path() == Path("/somewhere/else")


def test_go_keeps_the_mirror_the_machine_is_set_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPROXY", "file:///mirror")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/home/config")
    monkeypatch.delenv("GOENV", raising=False)
    environment = go_environment(tmp_path)
    assert environment["GOPROXY"] == "file:///mirror"
    assert environment["GOENV"] == "/home/config/go/env"
    assert environment["XDG_CONFIG_HOME"].startswith(str(tmp_path))


def test_mongod_comes_from_the_wheel_else_from_path_else_an_error_says_what_to_do(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_mongod().parts[-4:] == ("fiftyone", "db", "bin", "mongod")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(machine.folder / "no-wheel"))
    with pytest.raises(ToolMissingError, match=r"set MONGODB_URI .*, put mongod .* on PATH, or install"):
        find_mongod()
    program = machine.install("mongod", "#!/bin/sh\necho db version v6.0.5\n")
    assert find_mongod() == program

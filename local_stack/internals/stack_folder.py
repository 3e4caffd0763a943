"""The folder a stack lives in: held by one process, and what it remembers for the next start."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from local_stack.errors import StackFolderError, StackInUseError
from local_stack.internals.process_identity import (
    ProcessIdentity,
    end_process,
    identify,
    processes_of_run,
)
from local_stack.internals.server_log import rotate
from local_stack.internals.waiting import wait_until

# A fresh mongod allocates 300 MB of journal before it answers.
MINIMUM_FREE_MEGABYTES = 600
GONE_TIMEOUT_SECONDS = 10.0
STATE_FORMAT = 1


@dataclass(slots=True)
class StackState:
    """What stands in state.json."""

    run_id: str = ""
    ports: dict[str, int] = field(default_factory=dict)
    processes: list[ProcessIdentity] = field(default_factory=list)


class StackFolder:
    """Open means: the lock is held, leftovers of an earlier run are ended, the folder can be written."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.state = StackState()
        self._lock: IO[str] | None = None

    def open(self) -> None:
        """Raises StackInUseError when another process holds it, StackFolderError when it is unusable."""
        with _folder_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = self._acquire()
            try:
                self._prepare()
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def wipe_data(self) -> None:
        """Remove what servers have kept here; files of something else stay."""
        with _folder_errors(self.path):
            for stamp in (*self.path.glob("data/*.begun"), *self.path.glob("data/*.complete")):
                shutil.rmtree(stamp.with_suffix(""), ignore_errors=True)
                stamp.unlink(missing_ok=True)
        with suppress(OSError):
            (self.path / "data").rmdir()

    def data(self, name: str) -> Path:
        """The folder where the server of this name keeps its data; made when missing.

        A server that was killed in its first start can leave data that it will not start with (Temporal: half
        a schema). So data that was begun here and never complete is removed. Raises StackFolderError where
        there are files of something else.
        """
        folder, begun = self.path / "data" / name, self._stamp(name, "begun")
        if not self._stamp(name).exists():
            with _folder_errors(self.path):
                if not begun.exists() and folder.is_dir() and any(folder.iterdir()):
                    raise StackFolderError(f"{folder} holds files of something else: name another folder")
                shutil.rmtree(folder, ignore_errors=True)
        self._make("data")
        with _folder_errors(self.path):
            begun.touch()
        return self._make("data", name)

    def mark_complete(self, name: str, version: str) -> None:
        """The server of this name was ready with its data, which `version` wrote."""
        with _folder_errors(self.path):
            self._stamp(name).write_text(version)

    def check_version(self, name: str, version: str) -> None:
        """Raises StackFolderError when another version wrote the data."""
        stamp = self._stamp(name)
        written_by = stamp.read_text() if stamp.exists() else version
        if written_by != version:
            raise StackFolderError(
                f"{self.path / 'data' / name} was written by {written_by} and this is {version}:"
                f" remove {self.path / 'data'} to start with empty servers"
            )

    def temporary(self) -> Path:
        return self._make("tmp")

    def log(self, name: str) -> Path:
        """The path of a fresh log; the log of the start before stays beside it."""
        path = self._make("logs") / f"{name}.log"
        with _folder_errors(self.path):
            rotate(path)
        return path

    def save(self) -> None:
        """Write the state so that a reader sees the old or the new one, never a part."""
        content = {"format": STATE_FORMAT, **asdict(self.state)}
        with _folder_errors(self.path):
            draft = self.path / "state.json.new"
            draft.write_text(json.dumps(content, indent=1))
            draft.replace(self.path / "state.json")

    def end_processes(self, known: Sequence[ProcessIdentity] = ()) -> None:
        """End the processes given and all that carry the run's id; returns when they are gone."""

        def gone() -> bool:
            remaining = [process for process in known if identify(process.pid, process.program) == process]
            for process in remaining:
                end_process(process)
            marked = processes_of_run(self.state.run_id)
            for pid in marked:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not remaining and not marked

        if not wait_until(gone, timeout_seconds=GONE_TIMEOUT_SECONDS):
            raise StackInUseError(f"processes of an earlier run in {self.path} do not end: end them by hand")

    def _stamp(self, name: str, stage: str = "complete") -> Path:
        return self.path / "data" / f"{name}.{stage}"

    def _make(self, *parts: str) -> Path:
        folder = self.path.joinpath(*parts)
        with _folder_errors(self.path):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _acquire(self) -> IO[str]:
        lock = (self.path / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise StackInUseError(
                f"a stack runs in {self.path} already (process {holder}): stop it, or use another folder"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return lock

    def _prepare(self) -> None:
        free_megabytes = shutil.disk_usage(self.path).free // 2**20
        if free_megabytes < MINIMUM_FREE_MEGABYTES:
            raise StackFolderError(
                f"{self.path} has {free_megabytes} MB left and the servers need {MINIMUM_FREE_MEGABYTES}:"
                " make room or use another folder"
            )
        self.state = _read_state(self.path / "state.json")
        if self.state.run_id:
            self.end_processes(self.state.processes)
        self.state.processes = []
        self.state.run_id = uuid.uuid4().hex
        self.save()


def _read_state(path: Path) -> StackState:
    """The remembered state; a missing, broken or foreign file means nothing is remembered."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        if content.pop("format") != STATE_FORMAT:
            return StackState()
        processes = [ProcessIdentity(**process) for process in content.pop("processes")]
        return StackState(processes=processes, **content)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return StackState()


@contextmanager
def _folder_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        advice = "make room" if error.errno == errno.ENOSPC else "use a folder that can be written"
        raise StackFolderError(f"cannot write to {path}: {error.strerror}; {advice}") from error

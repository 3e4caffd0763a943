"""The one folder outside the checkout: programs that are obtained once a machine."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_stack.errors import StackFolderError
from local_stack.types import Progress

CACHE_VARIABLE = "NOTIFICATION_SERVICE_CACHE"
WORK_PREFIX = "build-"


def cache_path() -> Path:
    """NOTIFICATION_SERVICE_CACHE, else ~/.cache/notification-service."""
    configured = os.environ.get(CACHE_VARIABLE)
    return Path(configured) if configured else Path.home() / ".cache" / "notification-service"


@contextmanager
def exclusive_work_folder(cache: Path, on_progress: Progress) -> Iterator[Path]:
    """An empty folder inside the cache for one process a machine at a time; removed afterwards.

    Raises StackFolderError when the cache cannot be written to.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / "lock").open("w")
    except OSError as error:
        raise StackFolderError(
            f"cannot write to {cache}: {error.strerror}; set {CACHE_VARIABLE} to a folder that can be written"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_progress(f"waiting for another process that works in {cache}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in cache.glob(f"{WORK_PREFIX}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=WORK_PREFIX, dir=cache))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

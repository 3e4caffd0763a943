"""Where one of several worker processes begins: as the command, but ended with its supervisor."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from typing import NoReturn

from modules.cli.main import main as run_command

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> NoReturn:
    """Run the command line; standard input is a pipe that only the supervisor holds open."""
    if sys.platform == "linux":
        # Also ends a process that stands still. It fires when the thread that forked ends (prctl(2)): the
        # supervisor starts processes from its main thread.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    threading.Thread(target=_end_with_supervisor, name="end-with-supervisor", daemon=True).start()
    run_command()


def _end_with_supervisor() -> None:
    # For other systems, and for a supervisor that was gone before prctl: a pipe is closed however its holder
    # ended, and a read of it then ends.
    while os.read(sys.stdin.fileno(), 1):
        continue
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()

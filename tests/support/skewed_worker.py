"""The worker's own entry in a process whose clock is off by the seconds given as its argument."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta

import time_machine

from modules.cli.main import run


def main() -> None:
    """Serve as `notifications worker` does; the clock runs, `<seconds>` ahead of the host's."""
    skew = timedelta(seconds=float(sys.argv[1]))
    with time_machine.travel(datetime.now(UTC) + skew, tick=True):
        os._exit(run(["worker", "--processes", "1"]))


if __name__ == "__main__":
    main()

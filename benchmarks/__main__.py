"""Runs the benchmarks, all or one: `python -m benchmarks [NAME [its options]]`, or the name in ONLY."""

from __future__ import annotations

import os
import subprocess
import sys

# These are no measurements of speed and take long: each runs when it is named.
BENCHMARKS = (
    "immediate",
    "individual",
    "bulk_send",
    "campaign",
    "fanout",
    "scan",
    "immediate_under_load",
    "backlog",
    "growth",
    "fcm_clients",
)
NAMED_ONLY = ("kill_nine", "kill_campaign", "nemesis")


def main(arguments: list[str]) -> int:
    """Each benchmark is a process of its own; returns 1 when one of them failed."""
    name = arguments[0] if arguments else os.environ.get("ONLY", "")
    known = (*BENCHMARKS, *NAMED_ONLY)
    if name and name not in known:
        print(f"benchmarks: no benchmark is called {name}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    chosen = (name,) if name else BENCHMARKS
    codes = [_run(each, arguments[1:]) for each in chosen]
    return 1 if any(codes) else 0


def _run(name: str, options: list[str]) -> int:
    print(f"--- {name}", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", f"benchmarks.{name}", *options]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)

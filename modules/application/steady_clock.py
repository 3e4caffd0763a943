"""Time that only moves on: neither a step of the host's clock nor a sleep of the host hides any of it."""

from __future__ import annotations

import time

# CLOCK_MONOTONIC stands still while a Linux host sleeps, CLOCK_BOOTTIME does not (clock_gettime(2)); other
# systems have no such clock.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


def steady_seconds() -> float:
    """Seconds since some moment before this process; only differences mean something."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)

"""Waits for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event

from modules.application.errors import ServiceError

POLL_SECONDS = 0.02


def wait_until(
    condition: Callable[[], bool], *, timeout_seconds: float, cancelled: Event | None = None
) -> bool:
    """True as soon as the condition holds, False after the timeout; raises ServiceError when cancelled."""
    cancelled = cancelled or Event()
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        if cancelled.wait(POLL_SECONDS):
            raise ServiceError(code="local_stack_cancelled", reason="the start was cancelled")
    return True

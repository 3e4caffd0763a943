"""Has Python look for garbage less often in a serving process: pages of rows are many short-lived objects."""

from __future__ import annotations

import gc

# Of a bulk worker's processor time a quarter went into collections that found nothing (docs/performance.md).
ALLOCATIONS_BETWEEN_COLLECTIONS = 50_000


def collect_rarely() -> None:
    """For a process of the service's own, once it is set up: what exists now is not looked at again."""
    gc.collect()
    gc.freeze()
    _, second, third = gc.get_threshold()
    gc.set_threshold(ALLOCATIONS_BETWEEN_COLLECTIONS, second, third)

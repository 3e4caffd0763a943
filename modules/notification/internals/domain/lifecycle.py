"""The life of a row as data: which status may follow which; the validator in MongoDB is made from it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from modules.notification.types import Status

TRANSITIONS: Mapping[Status, frozenset[Status]] = MappingProxyType(
    {
        # A row that waits for its slower devices is `sent` when it expires: others had accepted.
        Status.PENDING: frozenset({Status.PROCESSING, Status.EXPIRED, Status.SENT}),
        Status.PROCESSING: frozenset(
            {Status.PROCESSING, Status.PENDING, Status.SENT, Status.FAILED, Status.EXPIRED}
        ),
        Status.SENT: frozenset({Status.DELIVERED}),
        Status.DELIVERED: frozenset(),
        Status.FAILED: frozenset(),
        Status.EXPIRED: frozenset(),
    }
)
FINAL_STATUSES = frozenset({Status.SENT, Status.DELIVERED, Status.FAILED, Status.EXPIRED})

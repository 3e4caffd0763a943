"""What travels through Temporal: ids, counts and cursors; plain data that workflows may import."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PushNotificationWorkerParams:
    """One row to deliver. `priority` decides the task queue."""

    notification_id: str
    account_id: str
    priority: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverParams:
    """Rows to make one round of attempts for."""

    notification_ids: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DueCursor:
    """Where a scan has got to: the keyset of the last row seen, and the moment whose due rows it takes.

    Times are ISO 8601 on the database's clock.
    """

    due_at: str
    notification_id: str
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanCounts:
    """What a scan has done so far. `already_running` rows have a worker under way."""

    expired: int = 0
    started: int = 0
    reclaimed: int = 0
    already_running: int = 0
    pages: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanParams:
    """Where a scan begins: from the start, or where the run before it continued as new."""

    cursor: DueCursor | None = None
    counts: ScanCounts = ScanCounts()
    expiry_done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DuePage:
    """What one page of a scan gave; `cursor` is None after the last page."""

    started: int
    reclaimed: int
    already_running: int
    cursor: DueCursor | None

"""What travels through Temporal: ids, counts and cursors; plain data that workflows may import."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverParams:
    """Rows to make one round of attempts for; `grouped` ones may wait a moment for others."""

    notification_ids: list[str]
    grouped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DueCursor:
    """Where a scan has got to: the keyset of the last row seen, and the moment whose due rows it takes.

    Times are ISO 8601 on the database's clock. `batched`: its pages go to batch workers.
    """

    due_at: str
    notification_id: str
    until: str
    batched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DueKey:
    """A row's place among the due ones; `due_at` is ISO 8601 on the database's clock."""

    due_at: str
    notification_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchParams:
    """A page of `rows` due rows: those that come after `after`, None: from the first, up to `last`.

    `first_id` is the first row's id.
    """

    first_id: str
    rows: int
    after: DueKey | None
    last: DueKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanCounts:
    """What a scan has done so far. `already_running` rows have a worker under way.

    `started` counts individual workers, `batches` batch workers, `campaigns` those that had lost theirs.
    """

    expired: int = 0
    started: int = 0
    reclaimed: int = 0
    already_running: int = 0
    pages: int = 0
    batches: int = 0
    campaigns: int = 0


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
    batches: int = 0

"""What a bulk is to whoever has it sent: many accounts' rows that share one content, page by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modules.application.errors import Problem
from modules.notification.types import BroadcastKind

CANCELLED = "cancelled"
DUPLICATE = "duplicate"
# What every row of a bulk has in common, by field; made by BulkService and kept by whoever has it sent.
Content = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcast:
    """A topic or condition that stands for everybody subscribed to it."""

    kind: BroadcastKind
    address: str
    app_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentCheck:
    """What is wrong with a content at `checked_at`, and when it is given up; None: never, or not known."""

    problems: tuple[Problem, ...]
    checked_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRows:
    """The rows that one page of a bulk has for its accounts, written or not: one an account.

    `account_ids` may name an account again. `row_ids` are by account; what they are is the store's.
    """

    bulk_id: str
    page: int
    account_ids: Sequence[str] = field(repr=False)
    row_ids: Mapping[str, Any] = field(repr=False)

    def part(self, start: int, end: int) -> PageRows:
        """Those of the accounts from place `start` to `end`, left out."""
        account_ids = self.account_ids[start:end]
        return PageRows(
            bulk_id=self.bulk_id,
            page=self.page,
            account_ids=account_ids,
            row_ids={account_id: self.row_ids[account_id] for account_id in account_ids},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOutcome:
    """Accounts of a page by what became of them; `open_until` is when an open row is next due.

    Keys are statuses, but `failed:<error_type>` for failed rows, `cancelled`, and `duplicate` for accounts
    that the audience names more than once. None: nothing is open.
    """

    counts: dict[str, int]
    open_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkReport:
    """A round of attempts for rows of a bulk: how many rows were due, and how the attempts went.

    `errors` are attempts that were not accepted, dead targets left out; `latencies` are counts by
    LATENCY_BUCKETS_MS, one more for what took longer.
    """

    due: int
    attempts: int
    errors: int
    latencies: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRunResult:
    """What a dry run found: the message's size, and the codes that the provider gave to a sample."""

    payload_bytes: int
    codes: Mapping[str, int]

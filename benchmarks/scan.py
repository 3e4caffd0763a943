"""Measures one scan for 1,000 due rows among a million.

`python -m benchmarks.scan [--rows 1000000] [--due 1000]`; the last line is one JSON object. `scan_ms` is the
median time in which NotificationService gives the due rows, page by page; `examined_per_returned` is what
MongoDB's explain says of the same query.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId

from benchmarks.bench_room import tell
from benchmarks.bulk_room import PARAMS, BulkRoom, run_benchmark
from modules.notification.internals.push_notification_writer import NewPush, new_row
from modules.notification.notification_service import NotificationService
from modules.notification.types import Priority

BATCH = 5_000
ROUNDS = 15


def store_rows(room: BulkRoom, rows: int, due: int) -> None:
    """`due` rows are due now; of the others half are finished and half wait for a later time."""
    now = datetime.now(UTC)
    template = new_row(NewPush(account_id="", params=PARAMS, priority=Priority.NORMAL), now).to_document()
    later, each = now + timedelta(days=1), rows // due
    for start in range(0, rows, BATCH):
        room.rows.insert_many(
            [_row(template, number, each, now, later) for number in range(start, min(rows, start + BATCH))],
            ordered=False,
        )
        if start % 100_000 == 0:
            tell(f"stored {start} of {rows} rows")


def _row(template: dict[str, Any], number: int, each: int, now: datetime, later: datetime) -> dict[str, Any]:
    row = {**template, "_id": ObjectId(), "account_id": f"scan-{number:07d}"}
    if number % each == 0:
        return row
    if number % 2:
        return {**row, "due_at": later, "next_retry_at": later}
    del row["due_at"]
    transition = {"source": "processing", "target": "sent"}
    return {**row, "status": "sent", "last_transition": transition, "finished_at": now, "sent_at": now}


def scan(page: int) -> tuple[float, int]:
    """Milliseconds, and rows found."""
    found, after, until = 0, None, None
    started = time.perf_counter()
    while True:
        due = NotificationService.require_loop_thread().run(
            NotificationService.due_page_async(after=after, until=until, limit=page)
        )
        found += len(due.rows)
        if len(due.rows) < page:
            return (time.perf_counter() - started) * 1000, found
        after, until = (due.rows[-1].due_at, due.rows[-1].notification_id), due.until


def examined(room: BulkRoom) -> tuple[int, int]:
    """Documents and index entries examined for all due rows."""
    query = {"find": "push_notifications", "filter": {"due_at": {"$lte": datetime.now(UTC)}}}
    query["sort"] = {"due_at": 1, "_id": 1}
    stats = room.database.command("explain", query, verbosity="executionStats")["executionStats"]
    return stats["totalDocsExamined"], stats["totalKeysExamined"]


def measure(room: BulkRoom, options: argparse.Namespace) -> dict[str, object]:
    store_rows(room, options.rows, options.due)
    page = room.application.settings.scan.page_size
    scan(page)
    taken = []
    for _ in range(ROUNDS):
        milliseconds, found = scan(page)
        assert found == options.due, f"{found} rows found"
        taken.append(milliseconds)
    documents, keys = examined(room)
    return {
        "benchmark": "scan",
        "scan_ms": round(statistics.median(taken), 1),
        "scan_max_ms": round(max(taken), 1),
        "examined_per_returned": round(documents / options.due, 3),
        "keys_per_returned": round(keys / options.due, 3),
        "rows": options.rows,
        "due": options.due,
        "page": page,
        "cores": os.cpu_count(),
    }


if __name__ == "__main__":
    run_benchmark("scan", measure, description=__doc__, rows=1_000_000, due=1_000)

"""Measures due rows from the scan's start to the last one `sent`, against clients that only send.

`python -m benchmarks.bulk_send [--rows 100000] [--processes 2]`; the last line is one JSON object. Rows of a
first, smaller block warm the workers up. The references are measured before and after; their mean counts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

from benchmarks.bench_room import ProcessorTime, tell
from benchmarks.bulk_room import (
    BulkRoom,
    make_accounts,
    processor_us_each,
    run_benchmark,
)
from benchmarks.references import bare_client_per_s, bare_uvloop_client_per_s, firebase_admin_per_s
from modules.application.application_service import ApplicationService
from modules.notification.workers.push_notifications_worker import PushNotificationsWorker

REFERENCE_MESSAGES = 10_000
ADMIN_MESSAGES = 1_500
WARM_UP_ROWS = 5_000


def drain(room: BulkRoom, accounts: list[str]) -> float:
    """Seconds from the trigger of the scan to the last of the rows `sent`."""
    room.store_due_rows(accounts)
    wanted, accepted = room.sent() + len(accounts), room.control.stats()["accepted"] + len(accounts)
    started = time.perf_counter()
    ApplicationService.run_scheduled_worker_now(cls=PushNotificationsWorker)
    room.wait_sent(wanted, accepted)
    return time.perf_counter() - started


def references(room: BulkRoom) -> dict[str, float]:
    return {
        "bare_client_per_s": bare_client_per_s(room.stack, REFERENCE_MESSAGES),
        "bare_uvloop_client_per_s": bare_uvloop_client_per_s(room.stack, REFERENCE_MESSAGES),
        "firebase_admin_per_s": firebase_admin_per_s(room.stack, ADMIN_MESSAGES),
    }


def measure(room: BulkRoom, options: argparse.Namespace) -> dict[str, object]:
    accounts = make_accounts("bulk", options.rows)
    tell(f"registering {len(accounts)} devices")
    room.register_devices(accounts)
    before = references(room)
    accepted_before = room.control.stats()["accepted"]
    with room.workers(options.processes) as pids:
        drain(room, accounts[:WARM_UP_ROWS])
        used = ProcessorTime.of(pids)
        seconds = drain(room, accounts)
        processor = processor_us_each(used, ProcessorTime.of(pids), options.rows)
    accepted = room.control.stats()["accepted"] - accepted_before
    assert accepted == options.rows + WARM_UP_ROWS, f"{accepted} messages accepted"
    after = references(room)
    means = {name: statistics.mean((before[name], after[name])) for name in before}
    rate = options.rows / seconds
    return {
        "benchmark": "bulk_send",
        "rows_per_s": round(rate),
        **{name: round(value) for name, value in means.items()},
        "of_bare_client": round(rate / means["bare_client_per_s"], 3),
        "of_bare_uvloop_client": round(rate / means["bare_uvloop_client_per_s"], 3),
        "of_firebase_admin": round(rate / means["firebase_admin_per_s"], 1),
        "processor_us_per_row": processor,
        "rows": options.rows,
        "processes": options.processes,
        "cores": os.cpu_count(),
    }


if __name__ == "__main__":
    run_benchmark("bulk-send", measure, description=__doc__, rows=100_000)

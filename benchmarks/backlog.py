"""Measures how a backlog drains: overdue rows, and workers that have only just been started.

`python -m benchmarks.backlog [--rows 100000] [--processes 2]`; the last line is one JSON object. Timed from
the start of the worker processes to the last row `sent`, their own start included and told apart.
"""

from __future__ import annotations

import argparse
import os
import time

from benchmarks.bench_room import ProcessorTime, tell
from benchmarks.bulk_room import (
    BulkRoom,
    make_accounts,
    processor_us_each,
    run_benchmark,
)
from modules.application.application_service import ApplicationService
from modules.notification.workers.push_notifications_worker import PushNotificationsWorker


def measure(room: BulkRoom, options: argparse.Namespace) -> dict[str, object]:
    accounts = make_accounts("backlog", options.rows)
    tell(f"storing {len(accounts)} devices and due rows")
    room.register_devices(accounts)
    room.store_due_rows(accounts)
    started = time.perf_counter()
    with room.workers(options.processes) as pids:
        serving = time.perf_counter()
        used = ProcessorTime.of(pids)
        ApplicationService.run_scheduled_worker_now(cls=PushNotificationsWorker)
        room.wait_sent(options.rows, options.rows)
        ended = time.perf_counter()
        processor = processor_us_each(used, ProcessorTime.of(pids), options.rows)
    return {
        "benchmark": "backlog",
        "rows_per_s": round(options.rows / (ended - serving)),
        "rows_per_s_with_start": round(options.rows / (ended - started)),
        "workers_start_s": round(serving - started, 2),
        "processor_us_per_row": processor,
        "rows": options.rows,
        "processes": options.processes,
        "cores": os.cpu_count(),
    }


if __name__ == "__main__":
    run_benchmark("backlog", measure, description=__doc__, rows=100_000)

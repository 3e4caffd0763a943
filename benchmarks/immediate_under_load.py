"""Measures one-time passwords while a backlog drains: `python -m benchmarks.immediate_under_load`.

The last line is one JSON object. Immediate sends go out one after the other from a calling process of its own
while worker processes send due rows in bulk; calls before the bulk begins and after it ends do not count.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from benchmarks.bench_room import tell
from benchmarks.bulk_room import BulkRoom, make_accounts, run_benchmark, told_each, wait_until
from benchmarks.immediate import percentile
from modules.application.application_service import ApplicationService
from modules.notification.workers.push_notifications_worker import PushNotificationsWorker

SETTLING_SECONDS = 2.0


def measure(room: BulkRoom, options: argparse.Namespace) -> dict[str, object]:
    accounts = make_accounts("load", options.rows)
    room.register_devices(accounts)
    with room.workers(options.processes):
        command = [sys.executable, "-m", "benchmarks.immediate_caller"]
        caller = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
        assert caller.stdout is not None
        assert caller.stdin is not None
        try:
            quiet = json.loads(caller.stdout.readline())["quiet_ms"]
            room.store_due_rows(accounts)
            ApplicationService.run_scheduled_worker_now(cls=PushNotificationsWorker)
            started = time.perf_counter()
            wait_until(lambda: room.sent() > SETTLING_SECONDS * 100)
            caller.stdin.write("start\n")
            caller.stdin.flush()
            wait_until(told_each("sent", room.sent, options.rows))
            seconds = time.perf_counter() - started
            caller.stdin.write("stop\n")
            caller.stdin.flush()
            taken = json.loads(caller.stdout.readline())["loaded_ms"]
        finally:
            caller.terminate()
            caller.wait()
    tell(f"{len(taken)} immediate sends under load")
    return {
        "benchmark": "immediate_under_load",
        "p50_ms": round(percentile(taken, 50), 1),
        "p99_ms": round(percentile(taken, 99), 1),
        "max_ms": round(max(taken), 1),
        "quiet_p50_ms": round(statistics.median(quiet), 1),
        "calls": len(taken),
        "bulk_rows_per_s": round(options.rows / seconds),
        "rows": options.rows,
        "processes": options.processes,
        "cores": os.cpu_count(),
    }


if __name__ == "__main__":
    run_benchmark("immediate-under-load", measure, description=__doc__, rows=60_000)

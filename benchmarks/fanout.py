"""Measures audience → rows: a list of accounts is stored as pages, and each page's rows are written.

`python -m benchmarks.fanout [--accounts 1000000]`; the last line is one JSON object. Each size runs in a
process of its own, whose largest resident memory is compared: 10,000 accounts against all. Nothing is sent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from itertools import count

from bson import ObjectId

from benchmarks.bench_room import ProcessorTime, tell
from benchmarks.bulk_room import BulkRoom, bulk_room, processor_us_each
from bootstrap import Application, Role, bootstrap
from demo.serve import run_process
from modules.campaign.internals.campaign_audience import CampaignAudience
from modules.campaign.internals.store.campaign_page_repository import CampaignPageRepository
from modules.notification.internals.store.rows.bulk_row_repository import BulkRowRepository
from modules.notification.internals.store.rows.bulk_rows import page_rows

SMALL = 10_000
# As slices of two worker processes are under way.
WRITERS = 4


async def fan_out(application: Application, accounts: int) -> None:
    database = application.database
    retention_days = application.settings.retention.finished_days
    pages = CampaignPageRepository(database.database, retention_days=retention_days)
    audience = CampaignAudience(pages, database.clock)
    rows = BulkRowRepository(database.database)
    campaign_id = ObjectId()
    stored = await audience.store_list(campaign_id, (f"fan-{number:08d}" for number in range(accounts)))
    numbers = count()

    async def write() -> None:
        for page in numbers:
            if page >= stored.extent.pages:
                return
            found = await pages.get(campaign_id, page)
            written = page_rows(str(campaign_id), page, found.account_ids)
            now = await database.clock.now()
            await rows.write(written, expires_at=None, now=now, is_first_visit=not found.is_visited)

    await asyncio.gather(*(write() for _ in range(WRITERS)))


def run_one(accounts: int) -> int:
    """The process of one size: its figures are one line of JSON."""
    application = bootstrap(role=Role.OPERATOR)
    try:
        started = time.perf_counter()
        application.loop_thread.run(fan_out(application, accounts))
        seconds = time.perf_counter() - started
    finally:
        application.close()
    rss_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rows_per_s": accounts / seconds, "rss_mib": rss_mib}))
    return 0


def measured(room: BulkRoom, accounts: int) -> dict[str, float]:
    before = room.rows.estimated_document_count()
    command = [sys.executable, "-m", "benchmarks.fanout", "--one", str(accounts)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    written = room.rows.count_documents({}) - before
    assert written == accounts, f"{written} rows written"
    figures: dict[str, float] = json.loads(output.splitlines()[-1])
    tell(f"{accounts} accounts: {figures['rows_per_s']:.0f} rows/s, {figures['rss_mib']:.0f} MiB")
    return figures


def measure(room: BulkRoom, options: argparse.Namespace) -> dict[str, object]:
    pids = {name: server.pid for name, server in room.stack.servers.items()}
    small = measured(room, SMALL)
    used = ProcessorTime.of(pids)
    large = measured(room, options.accounts)
    return {
        "benchmark": "fanout",
        "rows_per_s": round(large["rows_per_s"]),
        "rss_mib_10k": round(small["rss_mib"], 1),
        "rss_mib_1m": round(large["rss_mib"], 1),
        "rss_ratio": round(large["rss_mib"] / small["rss_mib"], 3),
        "server_us_per_row": processor_us_each(used, ProcessorTime.of(pids), options.accounts),
        "accounts": options.accounts,
        "cores": os.cpu_count(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        return run_one(options.one)
    with bulk_room("fanout") as room:
        summary = measure(room, options)
    sys.stderr.flush()
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    run_process(main)

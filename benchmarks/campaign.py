"""Measures a campaign from the call to the last row `sent`, and can draw its throughput over time.

`python -m benchmarks.campaign [--accounts 100000] [--processes 2] [--picture FILE.svg]`; the last line is one
JSON object. Audience, rows, claims, sends and outcomes are all in the time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from benchmarks.bench_room import ProcessorTime, tell
from benchmarks.bulk_room import PARAMS, BulkRoom, bulk_room, make_accounts, processor_us_each, wait_until
from benchmarks.throughput_picture import draw
from demo.serve import run_process
from modules.campaign.campaign_service import CampaignService
from modules.campaign.types import AccountList, CampaignState

SAMPLE_SECONDS = 1.0


def run_campaign(room: BulkRoom, accounts: list[str], key: str) -> tuple[float, list[tuple[float, int]]]:
    """Seconds until the campaign is completed, and what the provider had accepted after how many seconds."""
    accepted_before = int(room.control.stats()["accepted"])
    samples = [(0.0, 0)]
    started = time.perf_counter()
    campaign_id = CampaignService.send_push_to_audience(
        audience=AccountList(account_ids=accounts), params=PARAMS, campaign_key=key
    )

    def completed() -> bool:
        seconds = time.perf_counter() - started
        if seconds - samples[-1][0] >= SAMPLE_SECONDS:
            samples.append((seconds, int(room.control.stats()["accepted"]) - accepted_before))
        state = CampaignService.get_campaign(campaign_id=campaign_id).state
        return state is CampaignState.COMPLETED

    wait_until(completed)
    seconds = time.perf_counter() - started
    samples.append((seconds, int(room.control.stats()["accepted"]) - accepted_before))
    counts = CampaignService.get_campaign(campaign_id=campaign_id).counts
    assert counts == {"sent": len(accounts)}, counts
    return seconds, samples


def measure(room: BulkRoom, options: argparse.Namespace) -> dict[str, object]:
    accounts = make_accounts("campaign", options.accounts)
    tell(f"registering {len(accounts)} devices")
    room.register_devices(accounts)
    with room.workers(options.processes) as pids:
        run_campaign(room, accounts[:5_000], "warm-up")
        used = ProcessorTime.of(pids)
        seconds, samples = run_campaign(room, accounts, "measured")
        processor = processor_us_each(used, ProcessorTime.of(pids), options.accounts)
    if options.picture is not None:
        options.picture.write_text(draw(samples))
    return {
        "benchmark": "campaign",
        "rows_per_s": round(options.accounts / seconds),
        "processor_us_per_row": processor,
        "accounts": options.accounts,
        "seconds": round(seconds, 1),
        "processes": options.processes,
        "cores": os.cpu_count(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    with bulk_room("campaign") as room:
        summary = measure(room, options)
    sys.stderr.flush()
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    run_process(main)

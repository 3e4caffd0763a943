"""Writes histories/*.json anew from the real Temporal server: `python -m tests.replay.capture_histories`.

Run it when a workflow is meant to change in a way that old runs need not survive; otherwise add a history.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from temporalio.client import WorkflowHistory

from modules.application.worker import Lane
from modules.notification.types import Status
from modules.notification.workers import push_notifications_worker
from modules.notification.workers.params import ScanParams
from modules.notification.workers.push_notification_worker import PushNotificationWorker
from modules.notification.workers.push_notifications_worker import PushNotificationsWorker
from tests.support.servers import start_stack
from tests.support.workflow_runs import (
    ScriptedDelivery,
    ScriptedScan,
    WorkflowRuns,
    make_worker_params,
    whole_chain,
    workflow_runs,
)

HISTORIES = Path(__file__).parent / "histories"
ROWS: dict[str, tuple[str, list[Status]]] = {
    "push_notification_worker.sent_at_once": ("immediate", [Status.SENT]),
    "push_notification_worker.retried_immediate": (
        "immediate",
        [Status.PENDING, Status.PENDING, Status.SENT],
    ),
    "push_notification_worker.expired_while_retrying": ("immediate", [Status.PENDING, Status.EXPIRED]),
    "push_notification_worker.normal_back_to_the_scan": ("normal", [Status.PENDING]),
    "push_notification_worker.waited_for_another_claim": ("normal", [Status.PROCESSING, Status.SENT]),
}
SCANS = {
    "push_notifications_worker.nothing_due": ScriptedScan(due=0),
    "push_notifications_worker.three_pages": ScriptedScan(due=12, page_size=5),
}


async def capture(address: str) -> None:
    async with workflow_runs(address) as runs:
        for name, (priority, script) in ROWS.items():
            delivery = ScriptedDelivery(script)
            lane = Lane(priority)
            async with runs.serving(delivery.deliver, lane=lane):
                handle = await runs.start(PushNotificationWorker, make_worker_params(priority=priority))
                await handle.result()
            save(name, await handle.fetch_history())
        for name, scan in SCANS.items():
            async with runs.serving(scan.start_page, scan.expire, lane=Lane.MASTER):
                handle = await runs.start(PushNotificationsWorker, ScanParams())
                await handle.result()
            save(name, await handle.fetch_history())
        await capture_continued(runs)


async def capture_continued(runs: WorkflowRuns) -> None:
    """A whole run of pages ends by continuing as new; the next run begins in the middle."""
    pages = push_notifications_worker.PAGES_PER_RUN
    scan = ScriptedScan(due=pages * 2, page_size=2)
    async with runs.serving(scan.start_page, scan.expire, lane=Lane.MASTER):
        handle = await runs.start(PushNotificationsWorker, ScanParams())
        first_run_id = (await handle.describe()).run_id
        await handle.result()
    chain = await whole_chain(runs.client, "push-notifications", first_run_id)
    for name, history in zip(("continued_as_new", "continued"), chain, strict=True):
        save(f"push_notifications_worker.{name}", history)


def save(name: str, history: WorkflowHistory) -> None:
    HISTORIES.mkdir(exist_ok=True)
    compact = json.dumps(json.loads(history.to_json()), separators=(",", ":"))
    (HISTORIES / f"{name}.json").write_text(compact + "\n")
    print(f"{name}: {len(history.events)} events")


def main() -> None:
    with start_stack("capture") as stack:
        asyncio.run(capture(stack.temporal_address))


if __name__ == "__main__":
    main()

"""Writes the histories/*.json that are missing, from the real Temporal server.

Run `python -m tests.replay.capture_histories` for a history that was added here. One that is there stays as
it is: it was written by the code of its time. Delete it only where runs of that time need not survive.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.client import WorkflowHistory

from modules.application.worker import Lane
from modules.campaign.run_types import CampaignRunParams, RolloutParams
from modules.campaign.workers.campaign_worker import CampaignWorker
from modules.notification.types import Status
from modules.notification.workers import push_notifications_worker
from modules.notification.workers.params import BatchParams, DueKey, ScanParams
from modules.notification.workers.push_notification_batch_worker import (
    DELIVER_RANGE_ACTIVITY,
    PushNotificationBatchWorker,
)
from modules.notification.workers.push_notification_worker import PushNotificationWorker
from modules.notification.workers.push_notifications_worker import PushNotificationsWorker
from tests.support.campaign_runs import ScriptedCampaign, make_campaign
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
    "push_notifications_worker.with_campaigns": ScriptedScan(due=12, page_size=5, campaigns=1),
    "push_notifications_worker.batched": ScriptedScan(due=12, page_size=5, batched=True),
}
STEPS = RolloutParams(step_ends=[100, 3_000, 12_000], max_error_rate=0.05, max_p95_ms=100.0)


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
            async with runs.serving(*scan.all(), lane=Lane.MASTER):
                handle = await runs.start(PushNotificationsWorker, ScanParams())
                await handle.result()
            save(name, await handle.fetch_history())
        await capture_continued(runs)
        await capture_batch(runs)
        await capture_campaigns(runs)


async def capture_continued(runs: WorkflowRuns) -> None:
    """A whole run of pages ends by continuing as new; the next run begins in the middle."""
    pages = push_notifications_worker.PAGES_PER_RUN
    scan = ScriptedScan(due=pages * 2, page_size=2)
    async with runs.serving(*scan.all(), lane=Lane.MASTER):
        handle = await runs.start(PushNotificationsWorker, ScanParams())
        first_run_id = (await handle.describe()).run_id
        await handle.result()
    chain = await whole_chain(runs.client, "push-notifications", first_run_id)
    for name, history in zip(("continued_as_new", "continued"), chain, strict=True):
        save(f"push_notifications_worker.{name}", history)


async def capture_batch(runs: WorkflowRuns) -> None:
    key = DueKey(due_at="2026-05-01T12:00:00+00:00", notification_id="row-9")
    params = BatchParams(first_id="row-1", rows=9, after=None, last=key)
    async with runs.serving(deliver_range, lane=Lane.BULK):
        handle = await runs.start(PushNotificationBatchWorker, params)
        await handle.result()
    save("push_notification_batch_worker.one_page", await handle.fetch_history())


@activity.defn(name=DELIVER_RANGE_ACTIVITY)
async def deliver_range(params: BatchParams) -> dict[str, int]:
    return {"sent": params.rows}


async def capture_campaigns(runs: WorkflowRuns) -> None:
    for name, params, scripted, control in (
        ("dry_run", make_campaign(dry_run=True), ScriptedCampaign(accounts=5_000), let_go),
        (
            "rollout_and_visits",
            make_campaign(),
            ScriptedCampaign(accounts=12_000, rollout=STEPS, open_pages={0: 1, 5: 2}),
            let_go,
        ),
        ("halted", make_campaign(), ScriptedCampaign(accounts=12_000, rollout=STEPS, errors=0.1), resume),
        ("paused_and_paced", make_campaign(), ScriptedCampaign(accounts=9_000), pause_and_pace),
        ("cancelled", make_campaign(), ScriptedCampaign(accounts=9_000), cancel),
        ("obeyed_its_record", make_campaign(), ScriptedCampaign(accounts=9_000), wish_for),
        ("gave_up", make_campaign(), ScriptedCampaign(accounts=9_000, lost_page=8), let_go),
    ):
        async with runs.serving(*scripted.all(), lane=Lane.BULK):
            handle = await runs.start(CampaignWorker, params)
            await control(runs, params, scripted)
            await handle.result()
        save(f"campaign_worker.{name}", await handle.fetch_history())
    await capture_continued_campaign(runs)


async def let_go(_: WorkflowRuns, __: CampaignRunParams, ___: ScriptedCampaign) -> None:
    """The campaign needs nobody."""


async def resume(runs: WorkflowRuns, params: CampaignRunParams, scripted: ScriptedCampaign) -> None:
    await scripted.recorded("halted")
    scripted.errors = 0.0
    await runs.runtime.update(CampaignWorker, params, "resume", None)


async def pause_and_pace(runs: WorkflowRuns, params: CampaignRunParams, scripted: ScriptedCampaign) -> None:
    scripted.gate.clear()
    await scripted.slices_begun(8)
    await runs.runtime.update(CampaignWorker, params, "pause", None)
    await runs.runtime.update(CampaignWorker, params, "set_rate", 1_000.0)
    scripted.gate.set()
    await runs.runtime.update(CampaignWorker, params, "resume", None)


async def cancel(runs: WorkflowRuns, params: CampaignRunParams, scripted: ScriptedCampaign) -> None:
    scripted.gate.clear()
    await scripted.slices_begun(8)
    await runs.runtime.update(CampaignWorker, params, "cancel", None)


async def wish_for(runs: WorkflowRuns, params: CampaignRunParams, scripted: ScriptedCampaign) -> None:
    """No command reaches the run: its slices find a pause, two signals the rest."""
    scripted.gate.clear()
    await scripted.slices_begun(8)
    scripted.silent, scripted.wish = True, "paused"
    scripted.gate.set()
    await scripted.recorded("paused")
    scripted.gate.clear()
    scripted.silent, scripted.wish, scripted.recorded_rate = False, "running", 2_000.0
    await runs.runtime.signal(CampaignWorker, params, "look")
    await scripted.slices_begun(10)
    scripted.wish = "cancelled"
    await runs.runtime.signal(CampaignWorker, params, "look")


async def capture_continued_campaign(runs: WorkflowRuns) -> None:
    """The first run ends with its history's length, the second one goes on in the middle."""
    scripted = ScriptedCampaign(accounts=450_000, open_pages={3: 2, 100: 1})
    async with runs.serving(*scripted.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, make_campaign())
        first_run_id = (await handle.describe()).run_id
        await handle.result()
    chain = await whole_chain(runs.client, handle.id, first_run_id)
    for name, history in zip(("continued_as_new", "continued"), chain[:2], strict=True):
        save(f"campaign_worker.{name}", history)


def save(name: str, history: WorkflowHistory) -> None:
    if (HISTORIES / f"{name}.json").exists():
        return
    HISTORIES.mkdir(exist_ok=True)
    told = json.loads(history.to_json(), object_hook=without_stack_trace)
    compact = json.dumps(told, separators=(",", ":"))
    (HISTORIES / f"{name}.json").write_text(compact + "\n")
    print(f"{name}: {len(history.events)} events")


def without_stack_trace(item: dict[str, Any]) -> dict[str, Any]:
    """A failure's trace names the files of the machine that captured it, and replays need none."""
    return {key: value for key, value in item.items() if key != "stackTrace"}


def main() -> None:
    with start_stack("capture") as stack:
        asyncio.run(capture(stack.temporal_address))


if __name__ == "__main__":
    main()

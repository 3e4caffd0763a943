"""The campaign's worker: the whole course, its rollout, and how long its histories get."""

from __future__ import annotations

from dataclasses import replace

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowHandle

from modules.application.worker import Lane
from modules.campaign.run_types import CampaignProgress, RolloutParams
from modules.campaign.workers import campaign_worker
from modules.campaign.workers.campaign_worker import CampaignWorker
from tests.support.campaign_runs import ScriptedCampaign, make_campaign
from tests.support.workflow_runs import WorkflowRuns, event_types, whole_chain

MOST_EVENTS = 2_000
STEPS = RolloutParams(step_ends=[100, 1_500, 3_000], max_error_rate=0.05, max_p95_ms=100.0)
Handle = WorkflowHandle[CampaignWorker, dict[str, int]]


async def lengths(runs: WorkflowRuns, handle: Handle, first_run_id: str) -> list[int]:
    histories = await whole_chain(runs.client, handle.id, first_run_id)
    assert all("TASK_FAILED" not in name for each in histories for name in event_types(each))
    return [len(history.events) for history in histories]


async def test_a_whole_course_reaches_everybody_once_in_pages(runs: WorkflowRuns) -> None:
    campaign, params = ScriptedCampaign(accounts=10_500, pages_a_collect=4), make_campaign()
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, params)
        assert await handle.result() == {"sent": 10_500}
        metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    assert campaign.reached_everybody_once
    assert len(campaign.slices) == 11
    assert campaign.collects == [0, 4, 8]
    assert campaign.states == ["running", "completed"]
    assert campaign.most_under_way <= 8
    assert metadata.current_details.startswith("**completed**: 10500 of 10500 accounts. 10500 sent.")


async def test_an_empty_audience_is_completed(runs: WorkflowRuns) -> None:
    campaign = ScriptedCampaign(accounts=0)
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        assert await (await runs.start(CampaignWorker, make_campaign())).result() == {}
    assert (campaign.states, campaign.slices) == (["completed"], [])


async def test_a_dry_run_plans_and_sends_nothing(runs: WorkflowRuns) -> None:
    campaign = ScriptedCampaign(accounts=5_000)
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        assert await (await runs.start(CampaignWorker, make_campaign(dry_run=True))).result() == {}
    assert (campaign.plans, campaign.collects, campaign.slices, campaign.states) == (1, [], [], [])


async def test_an_operator_finds_it_by_id_and_sees_where_it_stands(runs: WorkflowRuns) -> None:
    campaign, params = ScriptedCampaign(accounts=3_000), make_campaign()
    campaign.gate.clear()
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, params)
        await campaign.slices_begun(3)
        progress = await runs.runtime.query(CampaignWorker, params, "progress")
        campaign.gate.set()
        await handle.result()
        described = await handle.describe()
    assert progress == CampaignProgress(
        state="running",
        reason=None,
        accounts=3_000,
        next_account=3_000,
        counts={},
        open_pages=0,
        in_flight=3,
        step=0,
        rate_per_second=None,
    )
    assert described.id == f"campaign/{params.campaign_id}"
    assert described.task_queue == runs.runtime.task_queue(Lane.BULK)
    assert await described.memo() == {"campaign_id": params.campaign_id}
    attributes = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    assert attributes["CampaignId"] == params.campaign_id


def failing(*, errors: float = 0.0, latency_bucket: int = 1) -> ScriptedCampaign:
    return ScriptedCampaign(accounts=3_000, rollout=STEPS, errors=errors, latency_bucket=latency_bucket)


async def test_the_steps_of_a_rollout_follow_one_another(runs: WorkflowRuns) -> None:
    campaign = ScriptedCampaign(accounts=3_000, rollout=STEPS, errors=0.04)
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        await (await runs.start(CampaignWorker, make_campaign())).result()
    assert campaign.reached_everybody_once
    parts = [(part.page, part.start, part.end) for part in campaign.slices]
    assert parts[0] == (0, 0, 100)
    assert sorted(parts[1:3]) == [(0, 100, 1_000), (1, 0, 500)]
    assert sorted(parts[3:]) == [(1, 500, 1_000), (2, 0, 1_000)]


@pytest.mark.parametrize(
    ("campaign", "reason"),
    [
        (failing(errors=0.10), "Step 1 of 3: 10 of 100 attempts failed (10.0%), the limit is 5.0%."),
        (failing(latency_bucket=4), "Step 1 of 3: the provider's p95 is 195 ms, the limit is 100 ms."),
        (
            failing(latency_bucket=10),
            "Step 1 of 3: the provider's p95 is more than 10000 ms, the limit is 100 ms.",
        ),
    ],
)
async def test_a_step_that_fails_halts_the_campaign_until_it_is_resumed(
    runs: WorkflowRuns, campaign: ScriptedCampaign, reason: str
) -> None:
    params = make_campaign()
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, params)
        await campaign.recorded("halted")
        progress = await runs.runtime.query(CampaignWorker, params, "progress")
        assert (progress.state, progress.reason, progress.step) == ("halted", reason, 0)
        assert campaign.reasons == [None, reason]
        assert len(campaign.slices) == 1, "nobody of the next step was told"
        campaign.errors, campaign.latency_bucket = 0.0, 1
        await runs.runtime.update(CampaignWorker, params, "resume", None)
        await handle.result()
    assert campaign.states == ["running", "halted", "running", "completed"]
    assert campaign.reached_everybody_once


async def test_a_step_is_judged_before_its_end_and_what_was_under_way_goes_on_later(
    runs: WorkflowRuns,
) -> None:
    rollout = replace(STEPS, step_ends=[3_000])
    campaign, params = ScriptedCampaign(accounts=3_000, rollout=rollout, errors=1.0), make_campaign()
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, replace(params, rate_per_second=10.0))
        await campaign.recorded("halted")
        told = campaign.reached
        campaign.errors = 0.0
        await runs.runtime.update(CampaignWorker, params, "set_rate", 10_000.0)
        await runs.runtime.update(CampaignWorker, params, "resume", None)
        await handle.result()
    assert told == 50
    assert campaign.reasons[1] == "Step 1 of 1: 50 of 50 attempts failed (100.0%), the limit is 5.0%."
    assert campaign.reached_everybody_once


async def test_pages_with_something_left_for_later_are_visited_until_nothing_is(runs: WorkflowRuns) -> None:
    campaign = ScriptedCampaign(accounts=2_500, open_pages={0: 2, 2: 1})
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, make_campaign())
        assert await handle.result() == {"sent": 2_500}
    assert sorted(campaign.visits) == [0, 0, 2]
    visits = {(part.page, part.start, part.end) for part in campaign.slices[3:]}
    assert visits == {(0, 0, 1_000), (2, 0, 500)}
    assert campaign.states == ["running", "completed"]


async def test_a_run_that_continues_as_new_keeps_everything(
    runs: WorkflowRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_worker, "EVENTS_PER_RUN", 60)
    rollout = RolloutParams(step_ends=[20_000, 40_000], max_error_rate=0.05, max_p95_ms=100.0)
    campaign = ScriptedCampaign(accounts=40_000, pages_a_collect=1, rollout=rollout, open_pages={3: 3, 39: 1})
    async with runs.serving(*campaign.all(), lane=Lane.BULK, sandboxed=False):
        handle = await runs.start(CampaignWorker, make_campaign())
        first_run_id = (await handle.describe()).run_id
        assert await handle.result() == {"sent": 40_000}
    assert campaign.reached_everybody_once
    assert len(campaign.slices) == 44
    assert campaign.collects == list(range(40))
    assert campaign.states == ["running", "completed"]
    assert len(await lengths(runs, handle, first_run_id)) > 4


async def test_a_paused_run_that_continues_as_new_stays_paused(
    runs: WorkflowRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_worker, "EVENTS_PER_RUN", 30)
    campaign, params = ScriptedCampaign(accounts=3_000), make_campaign()
    campaign.gate.clear()
    async with runs.serving(*campaign.all(), lane=Lane.BULK, sandboxed=False):
        handle = await runs.start(CampaignWorker, params)
        first_run_id = (await handle.describe()).run_id
        for pauses in range(3):
            await campaign.slices_begun(3 * (pauses + 1))
            await runs.runtime.update(CampaignWorker, params, "pause", None)
            assert (await runs.runtime.query(CampaignWorker, params, "progress")).state == "paused"
            await runs.runtime.update(CampaignWorker, params, "resume", None)
        campaign.gate.set()
        await handle.result()
    assert campaign.reached_everybody_once
    assert campaign.states == ["running", *["paused", "running"] * 3, "completed"]
    assert len(await lengths(runs, handle, first_run_id)) > 1


async def test_a_thousand_pages_keep_every_history_short(runs: WorkflowRuns) -> None:
    campaign = ScriptedCampaign(accounts=1_000_000)
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, make_campaign())
        first_run_id = (await handle.describe()).run_id
        assert await handle.result() == {"sent": 1_000_000}
    found = await lengths(runs, handle, first_run_id)
    assert len(campaign.slices) == 1_000
    assert len(found) > 1
    assert max(found) <= MOST_EVENTS

"""What a campaign's record says is obeyed by a run that was not told; one that cannot go on says why."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import WorkflowFailureError

from modules.application.worker import Lane
from modules.campaign.run_types import CampaignRunParams
from modules.campaign.workers import campaign_worker
from modules.campaign.workers.campaign_steps import (
    CANCEL_ACTIVITY,
    COLLECT_ACTIVITY,
    PLAN_ACTIVITY,
    SLICE_ACTIVITY,
)
from modules.campaign.workers.campaign_worker import CampaignWorker
from tests.support.campaign_runs import ScriptedCampaign, make_campaign
from tests.support.workflow_runs import WorkflowRuns, event_types, whole_chain


async def test_a_run_that_was_not_told_cancels_when_its_slices_find_the_wish(runs: WorkflowRuns) -> None:
    campaign = ScriptedCampaign(accounts=12_000)
    campaign.gate.clear()
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, make_campaign())
        await campaign.slices_begun(8)
        campaign.silent, campaign.wish = True, "cancelled"
        campaign.gate.set()
        assert await handle.result() == {"sent": 0, "cancelled": 12_000}
    assert campaign.states == ["running", "paused", "cancelled"]
    assert (len(campaign.slices), campaign.looks) == (8, 1), "no slice is begun only to stop at once"


async def test_a_run_that_was_not_told_pauses_and_loses_nobody(runs: WorkflowRuns) -> None:
    campaign, params = ScriptedCampaign(accounts=3_000), make_campaign()
    campaign.gate.clear()
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, params)
        await campaign.slices_begun(3)
        campaign.silent, campaign.wish = True, "paused"
        campaign.gate.set()
        await campaign.recorded("paused")
        assert len(campaign.slices) == 3
        campaign.silent, campaign.wish = False, "running"
        await runs.runtime.signal(CampaignWorker, params, "look")
        assert await handle.result() == {"sent": 3_000}
    assert campaign.states == ["running", "paused", "running", "completed"]
    assert campaign.reached_everybody_once


async def test_a_run_that_only_waits_hears_of_a_wish_by_a_signal(runs: WorkflowRuns) -> None:
    campaign, params = ScriptedCampaign(accounts=10, paused=True), make_campaign()
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, params)
        await campaign.recorded("paused")
        campaign.wish = "cancelled"
        await runs.runtime.signal(CampaignWorker, params, "look")
        assert await handle.result() == {"sent": 0, "cancelled": 10}
    assert campaign.slices == []


async def test_a_signal_waits_for_a_worker(runs: WorkflowRuns) -> None:
    campaign, params = ScriptedCampaign(accounts=10, wish="cancelled"), make_campaign()
    handle = await runs.start(CampaignWorker, params)
    await runs.runtime.signal(CampaignWorker, params, "look")
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        await handle.result()
    assert (campaign.states[-1], campaign.slices, campaign.collects) == ("cancelled", [], [])


@pytest.mark.parametrize("collected", [True, False])
async def test_a_run_that_starts_anew_ends_a_campaign_that_is_to_be_cancelled(
    runs: WorkflowRuns, collected: bool
) -> None:
    campaign = ScriptedCampaign(accounts=3_000, wish="cancelled", pages_a_collect=1_000 if collected else 1)
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, make_campaign())
        assert await handle.result() == {"sent": 0, "cancelled": 3_000}
    assert (campaign.slices, len(campaign.collects)) == ([], 1)
    assert campaign.states == ["paused", "cancelled"]


async def test_a_run_that_starts_anew_pauses_before_its_first_slice(runs: WorkflowRuns) -> None:
    campaign, params = ScriptedCampaign(accounts=10, wish="paused"), make_campaign()
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, params)
        await campaign.recorded("paused")
        assert campaign.slices == []
        campaign.wish = None
        await runs.runtime.update(CampaignWorker, params, "resume", None)
        assert await handle.result() == {"sent": 10}


async def test_a_wish_for_what_is_so_already_is_recorded_once_more(runs: WorkflowRuns) -> None:
    """A record that goes on saying it would be looked at by every scan."""
    campaign, params = ScriptedCampaign(accounts=10, paused=True), make_campaign()
    campaign.pause_reason = "Step 1 of 2: because."
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, params)
        await campaign.recorded("halted")
        campaign.wish = "paused"
        await runs.runtime.signal(CampaignWorker, params, "look")
        async with campaign.news:
            await campaign.news.wait_for(lambda: len(campaign.states) == 2)
        campaign.wish = "running"
        await runs.runtime.signal(CampaignWorker, params, "look")
        await handle.result()
    assert campaign.states == ["halted", "halted", "running", "completed"]
    assert campaign.reasons[:2] == ["Step 1 of 2: because."] * 2


async def resume_during_a_look(
    runs: WorkflowRuns, campaign: ScriptedCampaign, params: CampaignRunParams
) -> None:
    """Have a run read its record, and resume it before it has the answer."""
    campaign.look_gate.clear()
    await runs.runtime.signal(CampaignWorker, params, "look")
    async with campaign.news:
        await campaign.news.wait_for(lambda: campaign.looks == 1)
    campaign.wish = "running"
    resumed = asyncio.create_task(runs.runtime.update(CampaignWorker, params, "resume", None))
    while (await runs.runtime.query(CampaignWorker, params, "progress")).state != "running":
        await asyncio.sleep(0.05)
    campaign.look_gate.set()
    await resumed


async def test_a_command_that_comes_during_a_look_is_newer_than_what_is_found(runs: WorkflowRuns) -> None:
    campaign, params = ScriptedCampaign(accounts=10, paused=True), make_campaign()
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, params)
        await campaign.recorded("paused")
        await resume_during_a_look(runs, campaign, params)
        assert await handle.result() == {"sent": 10}
    assert "paused" not in campaign.states[1:]


async def test_a_look_that_a_command_overtakes_is_made_again(runs: WorkflowRuns) -> None:
    campaign, params = ScriptedCampaign(accounts=10, paused=True), make_campaign()
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, params)
        await campaign.recorded("paused")
        campaign.recorded_rate = 50.0
        await resume_during_a_look(runs, campaign, params)
        assert await handle.result() == {"sent": 10}
    assert campaign.looks == 2
    assert campaign.slices[-1].rate_per_second == 50.0


async def test_a_rate_that_a_run_was_not_told_is_found_by_its_look(runs: WorkflowRuns) -> None:
    campaign, params = ScriptedCampaign(accounts=1_000, paused=True), make_campaign()
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, params)
        await campaign.recorded("paused")
        campaign.recorded_rate, campaign.wish = 50.0, "running"
        await runs.runtime.signal(CampaignWorker, params, "look")
        await campaign.slices_begun(1)
        await runs.runtime.update(CampaignWorker, params, "set_rate", None)
        await handle.result()
    assert campaign.slices[0].rate_per_second == 50.0


async def test_a_campaign_that_was_ended_by_hand_lets_its_run_go(runs: WorkflowRuns) -> None:
    campaign, params = ScriptedCampaign(accounts=10, paused=True), make_campaign()
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, params)
        await campaign.recorded("paused")
        campaign.state = "cancelled"
        await runs.runtime.signal(CampaignWorker, params, "look")
        await handle.result()
    assert campaign.states == ["paused"], "the record is left as it is"


async def test_a_full_run_that_is_told_to_look_does_so_before_it_continues_as_new(
    runs: WorkflowRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign, params = ScriptedCampaign(accounts=3_000), make_campaign()
    campaign.gate.clear()
    async with runs.serving(*campaign.all(), lane=Lane.BULK, sandboxed=False):
        handle = await runs.start(CampaignWorker, params)
        first_run_id = (await handle.describe()).run_id
        await campaign.slices_begun(3)
        monkeypatch.setattr(campaign_worker, "EVENTS_PER_RUN", 1)
        campaign.wish = "cancelled"
        await runs.runtime.signal(CampaignWorker, params, "look")
        await handle.result()
    assert campaign.states[-1] == "cancelled"
    assert len(campaign.slices) == 3
    assert len(await whole_chain(runs.client, handle.id, first_run_id)) == 1


@pytest.mark.parametrize("broken", [SLICE_ACTIVITY, COLLECT_ACTIVITY])
async def test_a_run_that_cannot_go_on_ends_its_campaign_with_the_reason(
    runs: WorkflowRuns, broken: str
) -> None:
    campaign = ScriptedCampaign(accounts=3_000, broken={broken: "campaign_page_not_found"})
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, make_campaign())
        assert await handle.result() == {"sent": 0, "cancelled": 3_000}
        run_id = (await handle.describe()).run_id
    [failed] = campaign.failed_runs
    assert (failed.code, failed.final, failed.run_id) == ("campaign_page_not_found", True, run_id)
    assert (campaign.states[-1], campaign.reasons[-1]) == ("failed", "because of campaign_page_not_found")


async def test_slices_under_way_end_before_a_run_gives_up(runs: WorkflowRuns) -> None:
    campaign = ScriptedCampaign(accounts=4_000, lost_page=3)
    campaign.gate.clear()
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, make_campaign())
        counts = await handle.result()
    assert campaign.under_way == 0
    assert counts == {"sent": campaign.reached, "cancelled": 4_000 - campaign.reached}
    assert (campaign.states[-1], len(campaign.failed_runs)) == ("failed", 1)


async def test_a_run_that_another_one_may_follow_fails_with_what_stopped_it(runs: WorkflowRuns) -> None:
    campaign = ScriptedCampaign(accounts=10, broken={SLICE_ACTIVITY: "away"}, ends=False)
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, make_campaign())
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert [failed.code for failed in campaign.failed_runs] == ["away"]
    assert campaign.states == ["running"]


async def test_a_dry_run_that_cannot_be_planned_ends_with_the_reason(runs: WorkflowRuns) -> None:
    campaign = ScriptedCampaign(accounts=10, broken={PLAN_ACTIVITY: "campaign_page_not_found"})
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, make_campaign(dry_run=True))
        assert await handle.result() == {}
    assert (campaign.states, campaign.reasons) == (["failed"], ["because of campaign_page_not_found"])


async def test_a_cancel_whose_rest_cannot_be_counted_ends_all_the_same(runs: WorkflowRuns) -> None:
    campaign, params = ScriptedCampaign(accounts=10, paused=True), make_campaign()
    campaign.broken[CANCEL_ACTIVITY] = "lost"
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, params)
        await campaign.recorded("paused")
        await runs.runtime.update(CampaignWorker, params, "cancel", None)
        await handle.result()
    assert campaign.states[-1] == "cancelled"
    assert campaign.reasons[-1] == "What is left could not be counted: lost."
    assert "WORKFLOW_EXECUTION_COMPLETED" in event_types(await handle.fetch_history())

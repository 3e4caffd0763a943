"""What operators tell a campaign that runs: pause, resume, cancel, another rate; and what it answers."""

from __future__ import annotations

import asyncio
from itertools import groupby

import pytest
from temporalio.client import WorkflowUpdateStage

from modules.application.errors import ConflictError, NotFoundError, UnavailableError
from modules.application.internals import worker_runtime
from modules.application.worker import Lane
from modules.campaign.workers.campaign_worker import CampaignWorker
from tests.support.campaign_runs import ScriptedCampaign, make_campaign
from tests.support.workflow_runs import WorkflowRuns, event_types


async def test_a_pause_stops_slices_in_the_middle_and_loses_nobody(runs: WorkflowRuns) -> None:
    campaign, params = ScriptedCampaign(accounts=12_000), make_campaign()
    campaign.gate.clear()
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, params)
        await campaign.slices_begun(8)
        await runs.runtime.update(CampaignWorker, params, "pause", None)
        paused = await runs.runtime.query(CampaignWorker, params, "progress")
        begun, states = len(campaign.slices), list(campaign.states)
        campaign.gate.set()
        await runs.runtime.update(CampaignWorker, params, "resume", None)
        assert await handle.result() == {"sent": 12_000}
    assert (begun, campaign.under_way, paused.in_flight, paused.state) == (8, 0, 0, "paused")
    assert paused.counts == {"sent": 4_000}, "each of the eight had done its half"
    assert states == ["running", "paused"]
    assert campaign.states == ["running", "paused", "running", "completed"]
    assert campaign.reached_everybody_once
    assert campaign.visits == [], "no part of a slice was delivered again"
    rests = [(part.page, part.start, part.end) for part in campaign.slices[8:16]]
    assert sorted(rests) == [(page, 500, 1_000) for page in range(8)]


async def test_a_cancelled_campaign_ends_with_the_counts_of_the_record(runs: WorkflowRuns) -> None:
    campaign, params = ScriptedCampaign(accounts=12_000), make_campaign()
    campaign.gate.clear()
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, params)
        await campaign.slices_begun(8)
        counts = await runs.runtime.update(CampaignWorker, params, "cancel", None)
        assert await handle.result() == counts == {"sent": 4_000, "cancelled": 8_000}
    assert campaign.states == ["running", "paused", "cancelled"]
    assert len(campaign.slices) == 8


async def test_a_paused_campaign_can_be_cancelled(runs: WorkflowRuns) -> None:
    campaign, params = ScriptedCampaign(accounts=2_000, paused=True), make_campaign()
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, params)
        await runs.runtime.update(CampaignWorker, params, "cancel", None)
        assert await handle.result() == {"sent": 0, "cancelled": 2_000}
    assert campaign.slices == []


@pytest.mark.parametrize(("reason", "state"), [(None, "paused"), ("Step 1 of 2: because.", "halted")])
async def test_a_run_that_starts_anew_stays_paused_and_keeps_the_recorded_rate(
    runs: WorkflowRuns, reason: str | None, state: str
) -> None:
    campaign, params = ScriptedCampaign(accounts=10, rate_per_second=100, paused=True), make_campaign()
    campaign.pause_reason = reason
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, params)
        await campaign.recorded(state)
        await runs.runtime.update(CampaignWorker, params, "pause", None)
        progress = await runs.runtime.query(CampaignWorker, params, "progress")
        assert campaign.slices == []
        await runs.runtime.update(CampaignWorker, params, "resume", None)
        await handle.result()
    assert (progress.rate_per_second, progress.reason) == (100, reason)
    assert campaign.states == [state, "running", "completed"]


async def test_updates_that_make_no_sense_are_refused_with_a_code(runs: WorkflowRuns) -> None:
    campaign, params = ScriptedCampaign(accounts=1_000), make_campaign()
    campaign.gate.clear()

    async def code(update: str, argument: float | None = None) -> str:
        with pytest.raises(ConflictError) as refused:
            await runs.runtime.update(CampaignWorker, params, update, argument)
        return refused.value.code

    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        with pytest.raises(NotFoundError) as unknown:
            await runs.runtime.update(CampaignWorker, params, "pause", None)
        with pytest.raises(NotFoundError):
            await runs.runtime.query(CampaignWorker, params, "progress")
        handle = await runs.start(CampaignWorker, params)
        await campaign.slices_begun(1)
        assert await code("set_rate", 0.0) == "rate_invalid"
        assert await code("set_rate", float("inf")) == "rate_invalid"
        await runs.runtime.update(CampaignWorker, params, "cancel", None)
        await handle.result()
        with pytest.raises(NotFoundError):
            await runs.runtime.update(CampaignWorker, params, "pause", None)
        ended = await runs.runtime.query(CampaignWorker, params, "progress")
    assert unknown.value.code == "worker_not_running"
    assert ended.state == "cancelled"
    accepted = [name for name in event_types(await handle.fetch_history()) if "UPDATE_ACCEPTED" in name]
    assert len(accepted) == 1, "a refusal costs no event"


async def test_a_repeated_command_succeeds_and_changes_nothing(runs: WorkflowRuns) -> None:
    campaign, params = ScriptedCampaign(accounts=1_000), make_campaign()
    campaign.gate.clear()

    async def tell(update: str) -> None:
        await runs.runtime.update(CampaignWorker, params, update, None)

    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, params)
        await campaign.slices_begun(1)
        await tell("resume")
        assert len(campaign.slices) == 1
        await tell("pause")
        await tell("pause")
        campaign.gate.set()
        await tell("resume")
        await tell("resume")
        await handle.result()
    assert [state for state, _ in groupby(campaign.states)] == ["running", "paused", "running", "completed"]


async def test_a_cancel_that_is_under_way_can_be_repeated(runs: WorkflowRuns) -> None:
    campaign, params = ScriptedCampaign(accounts=2_000, paused=True), make_campaign()
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, params)
        await campaign.recorded("paused")
        campaign.cancel_gate.clear()
        first = asyncio.create_task(runs.runtime.update(CampaignWorker, params, "cancel", None))
        await campaign.cancelling.wait()
        accepted = WorkflowUpdateStage.ACCEPTED
        second = await handle.start_update(CampaignWorker.cancel, wait_for_stage=accepted)
        campaign.cancel_gate.set()
        assert await first == await second.result() == {"sent": 0, "cancelled": 2_000}
    assert campaign.states[-2:] == ["paused", "cancelled"]


async def test_a_resume_that_is_under_way_can_be_repeated(runs: WorkflowRuns) -> None:
    campaign, params = ScriptedCampaign(accounts=10, paused=True), make_campaign()
    handle = await runs.start(CampaignWorker, params)
    both = [
        asyncio.create_task(runs.runtime.update(CampaignWorker, params, "resume", None)) for _ in range(2)
    ]
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        await asyncio.gather(*both)
        await handle.result()
    assert campaign.states[-1] == "completed"


async def test_a_pause_after_which_nothing_is_left_completes_it(runs: WorkflowRuns) -> None:
    campaign, params = ScriptedCampaign(accounts=1, stops_halfway=False), make_campaign()
    campaign.gate.clear()
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, params)
        await campaign.slices_begun(1)
        await runs.runtime.update(CampaignWorker, params, "pause", None)
        assert await handle.result() == {"sent": 1}
    assert campaign.states == ["running", "completed"]


async def test_a_run_that_has_not_read_yet_that_it_is_paused_can_be_resumed(runs: WorkflowRuns) -> None:
    campaign, params = ScriptedCampaign(accounts=10, paused=True), make_campaign()
    handle = await runs.start(CampaignWorker, params)
    resumed = asyncio.create_task(runs.runtime.update(CampaignWorker, params, "resume", None))
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        await resumed
        await handle.result()
    assert "paused" not in campaign.states
    assert campaign.states[-2:] == ["running", "completed"]


async def test_a_change_of_rate_stops_the_slices_under_way_and_paces_what_is_left(runs: WorkflowRuns) -> None:
    campaign, params = ScriptedCampaign(accounts=3_000), make_campaign()
    campaign.gate.clear()
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, params)
        await campaign.slices_begun(3)
        await runs.runtime.update(CampaignWorker, params, "set_rate", 50.0)
        await campaign.slices_begun(4)
        campaign.gate.set()
        await campaign.slices_begun(5)
        await runs.runtime.update(CampaignWorker, params, "set_rate", None)
        await handle.result()
    assert campaign.reached_everybody_once
    assert campaign.visits == []
    assert [part.rate_per_second for part in campaign.slices[:5]] == [None, None, None, 50.0, 50.0]
    assert [(part.start, part.end) for part in campaign.slices[3:5]] == [(500, 750), (750, 1_000)]
    assert campaign.slices[-1].rate_per_second is None


async def test_a_campaign_started_with_a_rate_sends_one_paced_slice_at_a_time(runs: WorkflowRuns) -> None:
    campaign = ScriptedCampaign(accounts=1_100)
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, make_campaign(rate_per_second=80.0))
        await handle.result()
    assert [(part.page, part.start, part.end) for part in campaign.slices] == [
        (0, 0, 400),
        (0, 400, 800),
        (0, 800, 1_000),
        (1, 0, 100),
    ]
    assert {part.rate_per_second for part in campaign.slices} == {80.0}
    assert campaign.most_under_way == 1


async def test_without_a_worker_neither_update_nor_query_waits_for_ever(
    runs: WorkflowRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_runtime, "UPDATE_WAIT_SECONDS", 0.2)
    params = make_campaign()
    handle = await runs.start(CampaignWorker, params)
    for asked in (
        runs.runtime.update(CampaignWorker, params, "pause", None),
        runs.runtime.query(CampaignWorker, params, "progress"),
    ):
        with pytest.raises(UnavailableError) as error:
            await asked
        assert error.value.code == "temporal_unavailable"
    await handle.terminate()

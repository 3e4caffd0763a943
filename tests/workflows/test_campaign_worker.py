"""The campaign's worker: the whole course, its controls, its rollout, and how long its histories get."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import groupby

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowHandle, WorkflowUpdateStage

from modules.application.errors import ConflictError, NotFoundError, UnavailableError
from modules.application.internals import worker_runtime
from modules.application.worker import Lane
from modules.notification.campaign_types import CampaignProgress, RolloutParams
from modules.notification.workers import campaign_worker
from modules.notification.workers.campaign_worker import CampaignWorker
from tests.support.campaign_runs import ScriptedCampaign, make_campaign
from tests.support.workflow_runs import WorkflowRuns, event_types, whole_chain

MOST_EVENTS = 2_000
Handle = WorkflowHandle[CampaignWorker, dict[str, int]]


async def lengths(runs: WorkflowRuns, handle: Handle, first_run_id: str) -> list[int]:
    histories = await whole_chain(runs.client, handle.id, first_run_id)
    assert all("TASK_FAILED" not in name for each in histories for name in event_types(each))
    return [len(history.events) for history in histories]


def everybody_once(campaign: ScriptedCampaign) -> bool:
    return campaign.reached == campaign.accounts and campaign.repeated == 0


async def test_a_whole_course_reaches_everybody_once_in_pages(runs: WorkflowRuns) -> None:
    campaign, params = ScriptedCampaign(accounts=10_500, pages_a_collect=4), make_campaign()
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        handle = await runs.start(CampaignWorker, params)
        assert await handle.result() == {"sent": 10_500}
        metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    assert everybody_once(campaign)
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
    assert everybody_once(campaign)
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
    assert everybody_once(campaign)
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


STEPS = RolloutParams(step_ends=[100, 1_500, 3_000], max_error_rate=0.05, max_p95_ms=100.0)


def failing(*, errors: float = 0.0, latency_bucket: int = 1) -> ScriptedCampaign:
    return ScriptedCampaign(accounts=3_000, rollout=STEPS, errors=errors, latency_bucket=latency_bucket)


async def test_the_steps_of_a_rollout_follow_one_another(runs: WorkflowRuns) -> None:
    campaign = ScriptedCampaign(accounts=3_000, rollout=STEPS, errors=0.04)
    async with runs.serving(*campaign.all(), lane=Lane.BULK):
        await (await runs.start(CampaignWorker, make_campaign())).result()
    assert everybody_once(campaign)
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
    assert everybody_once(campaign)


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
    assert everybody_once(campaign)


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
    assert everybody_once(campaign)
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
    assert everybody_once(campaign)
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

"""The campaign's worker: sends slices of an audience, in steps; can be paused, paced and cancelled."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from modules.application.markdown import as_code
    from modules.application.worker import Lane, WorkerStart
    from modules.campaign.run_types import (
        ENDED_STATES,
        FINAL_STATES,
        PAUSED_STATES,
        CampaignParams,
        CampaignProgress,
        CampaignRunParams,
        Collected,
        CollectParams,
        RecordedWill,
        RecordStateParams,
    )
    from modules.campaign.types import CampaignState
    from modules.campaign.workers.campaign_progress import (
        advanced,
        cleared,
        halt_reason,
        in_words,
        is_complete,
        put_back,
        reported,
        seconds_to_visit,
    )
    from modules.campaign.workers.campaign_slices import SlicesUnderWay
    from modules.campaign.workers.campaign_steps import (
        CANCEL_ACTIVITY,
        COLLECT_ACTIVITY,
        FAILURE_ACTIVITY,
        LOOK_ACTIVITY,
        PLAN_ACTIVITY,
        RECORD_ACTIVITY,
        code_of,
        execute,
        failed_run,
    )

# The slices under way when this is reached, and updates meanwhile, add less than a hundred.
EVENTS_PER_RUN = 1_500
DETAILS_SECONDS = 5.0
LOOK_AGAIN_PATCH = "look-again-after-a-command"


@workflow.defn(name="CampaignWorker")
class CampaignWorker:
    """One campaign: `campaign/{id}`. Its state is numbers; who is in the audience stays in MongoDB.

    Handlers only say what is wanted; the run does it, so that the record follows one order.
    """

    @staticmethod
    def describe(params: CampaignRunParams) -> WorkerStart:
        return WorkerStart(
            workflow_id=f"campaign/{params.campaign_id}",
            lane=Lane.BULK,
            summary=f"campaign {params.campaign_id}" + (" (dry run)" if params.dry_run else ""),
            details=f"Delivers campaign {as_code(params.campaign_id)}, page by page of its audience.",
            attributes={"CampaignId": params.campaign_id},
            memo={"campaign_id": params.campaign_id},
        )

    @workflow.init
    def __init__(self, params: CampaignRunParams) -> None:
        self._progress = params
        self._slices = SlicesUnderWay()
        self._state = CampaignState.RUNNING
        if params.dry_run:
            self._state = CampaignState.PLANNED
        elif params.paused:
            self._state = CampaignState.HALTED if params.pause_reason else CampaignState.PAUSED
        self._reason = params.pause_reason
        self._recorded: CampaignState | None = self._wanted
        if params.accounts is None:
            self._recorded = CampaignState.COLLECTING
        self._changed = False
        self._look_is_due = False
        self._commands = 0
        self._told: CampaignState | None = None
        self._rate_was_told = False
        self._restart_slices = False
        self._details_at = -math.inf

    @workflow.run
    async def run(self, params: CampaignRunParams) -> dict[str, int]:
        """Returns the campaign's counts by status; raises ActivityError for what another run may get done."""
        if params.dry_run:
            await self._or_give_up(self._plan)
        while self._recorded not in FINAL_STATES:
            await self._or_give_up(self._go_on)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._progress.counts

    @workflow.signal
    def look(self) -> None:
        """Read what the record says is wanted: a command came that this run may not have heard of."""
        self._look_is_due = self._changed = True

    @workflow.update
    async def pause(self) -> None:
        """Stop; returns once nothing is being sent. One that was stopped before stays as it was."""
        if self._state not in PAUSED_STATES:
            self._want(CampaignState.PAUSED)
        await self._recorded_as_wanted()

    @pause.validator
    def _may_pause(self) -> None:
        self._refuse_ended()

    @workflow.update
    async def resume(self) -> None:
        """Go on after a pause or a halt; what the step has seen so far is judged no more."""
        # A run that has just begun may not have read yet that its record says paused.
        self._recorded = None
        self._resume()
        await self._recorded_as_wanted()

    @resume.validator
    def _may_resume(self) -> None:
        self._refuse_ended()

    @workflow.update
    async def cancel(self) -> dict[str, int]:
        """End for good; returns the final counts once nothing is being sent and the rest is taken back."""
        if self._state is not CampaignState.CANCELLED:
            self._want(CampaignState.CANCELLED)
        await self._recorded_as_wanted()
        return self._progress.counts

    @cancel.validator
    def _may_cancel(self) -> None:
        if self._state is not CampaignState.CANCELLED:
            self._refuse_ended()

    @workflow.update
    def set_rate(self, rate_per_second: float | None = None) -> None:
        """Deliver at another rate from now on, None for as fast as the provider allows."""
        self._progress = replace(self._progress, rate_per_second=rate_per_second)
        self._rate_was_told = self._restart_slices = self._changed = True
        self._commands += 1

    @set_rate.validator
    def _may_set_rate(self, rate_per_second: float | None = None) -> None:
        self._refuse_ended()
        if rate_per_second is not None and not 0 < rate_per_second < math.inf:
            raise ApplicationError("a rate is above 0 a second", type="rate_invalid")

    @workflow.query
    def progress(self) -> CampaignProgress:
        return CampaignProgress(
            state=self._wanted.value,
            reason=self._reason,
            accounts=self._progress.accounts,
            next_account=self._progress.next_account,
            counts=self._progress.counts,
            open_pages=len(self._progress.open_pages),
            in_flight=len(self._slices),
            step=self._progress.step,
            rate_per_second=self._progress.rate_per_second,
        )

    @property
    def _wanted(self) -> CampaignState:
        if self._state is CampaignState.RUNNING and self._progress.accounts is None:
            return CampaignState.COLLECTING
        return self._state

    @property
    def _campaign(self) -> CampaignParams:
        return CampaignParams(campaign_id=self._progress.campaign_id)

    def _refuse_ended(self) -> None:
        if self._state in FINAL_STATES:
            raise ApplicationError(f"the campaign is {self._state.value}", type="campaign_ended")

    def _want(self, state: CampaignState, reason: str | None = None) -> None:
        self._state = self._told = state
        self._reason, self._changed = reason, True
        self._commands += 1

    def _resume(self) -> None:
        if self._state in PAUSED_STATES:
            self._progress = cleared(self._progress)
        self._want(CampaignState.RUNNING)

    async def _recorded_as_wanted(self) -> None:
        """Return once the record says what is wanted; raises ApplicationError when another command came."""
        told = self._told
        await workflow.wait_condition(lambda: self._told is not told or self._recorded is self._wanted)
        if self._told is not told:
            raise ApplicationError("another command came before it was done", type="campaign_overtaken")

    async def _go_on(self) -> None:
        """Do the next thing there is to do, or wait for one."""
        self._changed = False
        self._harvest()
        self._judge()
        self._tell()
        if self._state is not CampaignState.RUNNING or self._restart_slices:
            self._restart_slices = False
            self._slices.stop()
        if self._look_is_due:
            await self._look()
        elif self._recorded is not self._wanted and not (self._stops and self._slices):
            await self._record()
        elif self._is_full:
            await self._continue_or_wait()
        elif self._progress.accounts is None:
            await self._collect()
        else:
            if self._state is CampaignState.RUNNING:
                self._progress = self._slices.begin_next(self._progress, workflow.time())
            await self._wait()

    @property
    def _stops(self) -> bool:
        return self._state in PAUSED_STATES | FINAL_STATES

    @property
    def _is_full(self) -> bool:
        info = workflow.info()
        return info.get_current_history_length() >= EVENTS_PER_RUN or info.is_continue_as_new_suggested()

    def _harvest(self) -> None:
        now = workflow.time()
        for each in self._slices.take_ended():
            report = each.report()
            if report is None:
                self._progress = put_back(self._progress, each.part)
                continue
            self._progress = reported(self._progress, each.part, report, now)
            if report.stopped_by_record and self._state is CampaignState.RUNNING:
                self._look_is_due = True

    def _judge(self) -> None:
        if (
            self._state not in (CampaignState.RUNNING, CampaignState.PAUSED)
            or self._progress.accounts is None
        ):
            return
        if is_complete(self._progress, self._slices.parts):
            self._progress = advanced(self._progress, self._slices.parts)
            self._state = CampaignState.COMPLETED
            return
        if self._state is CampaignState.PAUSED:
            return
        reason = halt_reason(self._progress, self._slices.parts)
        if reason is None:
            self._progress = advanced(self._progress, self._slices.parts)
        else:
            self._state, self._reason = CampaignState.HALTED, reason

    def _tell(self) -> None:
        if self._recorded is self._wanted and workflow.time() < self._details_at + DETAILS_SECONDS:
            return
        self._details_at = workflow.time()
        words = in_words(self._progress, self._wanted.value, self._reason)
        workflow.set_current_details(words)

    async def _or_give_up(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work; where it cannot be done, record why, and raise unless that ends the campaign."""
        try:
            await work()
        except ActivityError as error:
            if is_cancelled_exception(error) or self._state in ENDED_STATES:
                raise
            self._slices.stop()
            await workflow.wait_condition(self._slices.all_have_ended)
            self._slices.take_ended()
            failed = failed_run(self._progress.campaign_id, error)
            will: RecordedWill = await execute(FAILURE_ACTIVITY, failed, RecordedWill)
            self._obey(will)
            if CampaignState(will.wish or will.state) not in FINAL_STATES:
                raise

    async def _look(self) -> None:
        """Want what the record says, unless a command comes meanwhile: that is newer."""
        self._look_is_due, commands = False, self._commands
        will: RecordedWill = await execute(LOOK_ACTIVITY, self._campaign, RecordedWill)
        if commands == self._commands:
            self._obey(will)
        elif workflow.patched(LOOK_AGAIN_PATCH):
            self._look_is_due = True

    def _obey(self, will: RecordedWill) -> None:
        if will.rate_per_second != self._progress.rate_per_second:
            self._progress = replace(self._progress, rate_per_second=will.rate_per_second)
            self._restart_slices = True
        state = CampaignState(will.state)
        if will.wish is not None:
            self._grant(CampaignState(will.wish), will.wish_reason)
        elif state in FINAL_STATES:
            self._want(state, will.reason)
            self._recorded = state
        elif state in PAUSED_STATES and self._state is CampaignState.RUNNING:
            self._want(state, will.reason)

    def _grant(self, wish: CampaignState, reason: str | None) -> None:
        """Want what is wished for; recorded also where it is so already, which takes the wish away."""
        if self._state is CampaignState.COMPLETED:
            return
        self._recorded = None
        if wish is CampaignState.RUNNING:
            self._resume()
        elif wish in ENDED_STATES or self._state not in PAUSED_STATES:
            self._want(wish, reason)

    async def _plan(self) -> None:
        await execute(PLAN_ACTIVITY, self._campaign, type(None))
        self._recorded = CampaignState.PLANNED

    async def _record(self) -> None:
        state, reason = self._wanted, self._reason
        if state in ENDED_STATES:
            reason = await self._end(state, reason)
        await self._store(state, reason)
        self._recorded = state
        self._details_at = -math.inf
        self._tell()

    async def _end(self, state: CampaignState, reason: str | None) -> str | None:
        """Take the rest out of delivery; returns the reason that is recorded."""
        if self._progress.dry_run:
            return reason
        if state is CampaignState.CANCELLED:
            # A worker that has lost Temporal still reads the record, and sends nothing more.
            await self._store(CampaignState.PAUSED, "being cancelled")
        try:
            counts = await execute(CANCEL_ACTIVITY, self._campaign, dict[str, int])
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return f"{reason or ''} What is left could not be counted: {code_of(error)}.".strip()
        self._progress = replace(self._progress, counts=counts)
        return reason

    async def _store(self, state: CampaignState, reason: str | None) -> None:
        campaign_id = self._progress.campaign_id
        record = RecordStateParams(campaign_id=campaign_id, state=state.value, reason=reason)
        await execute(RECORD_ACTIVITY, record, type(None))

    async def _collect(self) -> None:
        before, commands = self._progress, self._commands
        collect = CollectParams(campaign_id=before.campaign_id, first_page=before.pages)
        collected: Collected = await execute(COLLECT_ACTIVITY, collect, Collected)
        if before.pages == 0:
            self._adopt(before, collected)
        if collected.wish is not None and commands == self._commands:
            self._grant(CampaignState(collected.wish), collected.wish_reason)
        self._progress = replace(self._progress, pages=collected.pages)
        if collected.complete:
            self._progress = replace(self._progress, accounts=collected.accounts, rollout=collected.rollout)

    def _adopt(self, before: CampaignRunParams, collected: Collected) -> None:
        """Take over what the record says of rate and pause, unless an update has said otherwise meanwhile."""
        if before.rate_per_second is None and not self._rate_was_told:
            self._progress = replace(self._progress, rate_per_second=collected.rate_per_second)
        if collected.paused and self._told is None:
            self._state = CampaignState.HALTED if collected.pause_reason else CampaignState.PAUSED
            self._reason = collected.pause_reason

    async def _wait(self) -> None:
        """Return when there is something to do: a report, an update, or a page to visit again."""
        seconds = None
        if self._state is CampaignState.RUNNING:
            seconds = seconds_to_visit(self._progress, self._slices.parts, workflow.time())
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._changed or self._slices.any_has_ended(),
                timeout=seconds,
                timeout_summary="next visit",
            )

    async def _continue_or_wait(self) -> None:
        """Continue as new once nothing is under way; slices stop by themselves, none is started meanwhile."""
        await workflow.wait_condition(
            lambda: (
                self._changed
                or self._slices.any_has_ended()
                or (not self._slices and workflow.all_handlers_finished())
            )
        )
        if self._changed or self._slices or not workflow.all_handlers_finished():
            return
        paused = self._state in PAUSED_STATES
        workflow.continue_as_new(replace(self._progress, paused=paused, pause_reason=self._reason))

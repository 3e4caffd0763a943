"""The campaign's worker: sends slices of an audience, in steps; can be paused, paced and cancelled."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from modules.application.markdown import as_code
    from modules.application.worker import Lane, WorkerStart
    from modules.notification.audience_types import CampaignState
    from modules.notification.campaign_types import (
        FINAL_STATES,
        PAUSED_STATES,
        CampaignParams,
        CampaignProgress,
        CampaignRunParams,
        CampaignSlice,
        Collected,
        CollectParams,
        RecordStateParams,
        SliceParams,
        SliceReport,
    )
    from modules.notification.workers.campaign_course import (
        advanced,
        begun,
        cleared,
        halt_reason,
        in_words,
        is_complete,
        next_slice,
        next_visit_at,
        pace_of,
        put_back,
        reported,
    )

PLAN_ACTIVITY = "plan_campaign"
COLLECT_ACTIVITY = "collect_audience"
SLICE_ACTIVITY = "deliver_campaign_slice"
CANCEL_ACTIVITY = "cancel_campaign_rest"
RECORD_ACTIVITY = "record_campaign_state"
# The slices under way when this is reached, and updates meanwhile, add less than a hundred.
EVENTS_PER_RUN = 1_500
HEARTBEAT_TIMEOUT = timedelta(seconds=15)
SLICE_TIMEOUT = timedelta(minutes=30)
ACTIVITY_TIMEOUT = timedelta(minutes=30)
# Whatever is away so long, the campaign waits; each try is bounded by itself and costs no event.
GIVE_UP_AFTER = timedelta(days=7)
RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))
DETAILS_SECONDS = 5.0


@dataclass(slots=True)
class _UnderWay:
    part: CampaignSlice
    handle: workflow.ActivityHandle[SliceReport]
    stopped: bool = False


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
        self._course = params
        self._under_way: list[_UnderWay] = []
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
        self._told: CampaignState | None = None
        self._rate_was_told = False
        self._restart_slices = False
        self._details_at = -math.inf

    @workflow.run
    async def run(self, params: CampaignRunParams) -> dict[str, int]:
        """Returns the campaign's counts by status; raises ActivityError for what cannot be done."""
        if params.dry_run:
            await self._execute(PLAN_ACTIVITY, CampaignParams(campaign_id=params.campaign_id), type(None))
            return {}
        while self._recorded not in FINAL_STATES:
            await self._go_on()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._course.counts

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
        if self._state in PAUSED_STATES:
            self._course = cleared(self._course)
        # A run that has just begun may not have read yet that its record says paused.
        self._recorded = None
        self._want(CampaignState.RUNNING)
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
        return self._course.counts

    @cancel.validator
    def _may_cancel(self) -> None:
        if self._state is not CampaignState.CANCELLED:
            self._refuse_ended()

    @workflow.update
    def set_rate(self, rate_per_second: float | None = None) -> None:
        """Deliver at another rate from now on, None for as fast as the provider allows."""
        self._course = replace(self._course, rate_per_second=rate_per_second)
        self._rate_was_told = self._restart_slices = self._changed = True

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
            accounts=self._course.accounts,
            next_account=self._course.next_account,
            counts=self._course.counts,
            open_pages=len(self._course.open_pages),
            in_flight=len(self._under_way),
            step=self._course.step,
            rate_per_second=self._course.rate_per_second,
        )

    @property
    def _wanted(self) -> CampaignState:
        if self._state is CampaignState.RUNNING and self._course.accounts is None:
            return CampaignState.COLLECTING
        return self._state

    @property
    def _parts(self) -> list[CampaignSlice]:
        return [each.part for each in self._under_way]

    def _refuse_ended(self) -> None:
        if self._state in FINAL_STATES:
            raise ApplicationError(f"the campaign is {self._state.value}", type="campaign_ended")

    def _want(self, state: CampaignState) -> None:
        self._state = self._told = state
        self._reason, self._changed = None, True

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
            self._stop_slices()
        if self._recorded is not self._wanted and not (self._stops and self._under_way):
            await self._record()
        elif self._is_full:
            await self._continue_or_wait()
        elif self._course.accounts is None:
            await self._collect()
        else:
            self._start_slices()
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
        ended = [each for each in self._under_way if each.handle.done()]
        self._under_way = [each for each in self._under_way if not each.handle.done()]
        for each in ended:
            try:
                report = each.handle.result()
            except ActivityError:
                # One that no process had begun, or whose process died, has no report to give.
                if not each.stopped:
                    raise
                self._course = put_back(self._course, each.part)
            else:
                self._course = reported(self._course, each.part, report, now)

    def _judge(self) -> None:
        if self._state not in (CampaignState.RUNNING, CampaignState.PAUSED) or self._course.accounts is None:
            return
        if is_complete(self._course, self._parts):
            self._course = advanced(self._course, self._parts)
            self._state = CampaignState.COMPLETED
            return
        if self._state is CampaignState.PAUSED:
            return
        reason = halt_reason(self._course, self._parts)
        if reason is None:
            self._course = advanced(self._course, self._parts)
        else:
            self._state, self._reason = CampaignState.HALTED, reason

    def _tell(self) -> None:
        if self._recorded is self._wanted and workflow.time() < self._details_at + DETAILS_SECONDS:
            return
        self._details_at = workflow.time()
        words = in_words(self._course, self._wanted.value, self._reason)
        workflow.set_current_details(words)

    def _stop_slices(self) -> None:
        self._restart_slices = False
        for each in self._under_way:
            if not each.stopped:
                each.stopped = True
                each.handle.cancel()

    async def _record(self) -> None:
        state, reason = self._wanted, self._reason
        campaign_id = self._course.campaign_id
        if state is CampaignState.CANCELLED:
            # A worker that has lost Temporal still reads the record, and sends nothing more.
            halt = RecordStateParams(
                campaign_id=campaign_id, state=CampaignState.PAUSED.value, reason="being cancelled"
            )
            await self._execute(RECORD_ACTIVITY, halt, type(None))
            counts = await self._execute(
                CANCEL_ACTIVITY, CampaignParams(campaign_id=campaign_id), dict[str, int]
            )
            self._course = replace(self._course, counts=counts)
        record = RecordStateParams(campaign_id=campaign_id, state=state.value, reason=reason)
        await self._execute(RECORD_ACTIVITY, record, type(None))
        self._recorded = state
        self._details_at = -math.inf
        self._tell()

    async def _collect(self) -> None:
        before = self._course
        collect = CollectParams(campaign_id=before.campaign_id, first_page=before.pages)
        collected: Collected = await self._execute(COLLECT_ACTIVITY, collect, Collected)
        if before.pages == 0:
            self._adopt(before, collected)
        self._course = replace(self._course, pages=collected.pages)
        if collected.complete:
            self._course = replace(self._course, accounts=collected.accounts, rollout=collected.rollout)

    def _adopt(self, before: CampaignRunParams, collected: Collected) -> None:
        """Take over what the record says of rate and pause, unless an update has said otherwise meanwhile."""
        if before.rate_per_second is None and not self._rate_was_told:
            self._course = replace(self._course, rate_per_second=collected.rate_per_second)
        if collected.paused and self._told is None:
            self._state = CampaignState.HALTED if collected.pause_reason else CampaignState.PAUSED
            self._reason = collected.pause_reason

    def _start_slices(self) -> None:
        if self._state is not CampaignState.RUNNING:
            return
        pace = pace_of(self._course.rate_per_second)
        while part := next_slice(self._course, self._parts, workflow.time()):
            self._course = begun(self._course, part)
            self._under_way.append(_UnderWay(part, self._start(part, pace.share_per_second)))

    def _start(
        self, part: CampaignSlice, share_per_second: float | None
    ) -> workflow.ActivityHandle[SliceReport]:
        return workflow.start_activity(
            SLICE_ACTIVITY,
            SliceParams(
                campaign_id=self._course.campaign_id,
                page=part.page,
                start=part.start,
                end=part.end,
                rate_per_second=share_per_second,
            ),
            result_type=SliceReport,
            start_to_close_timeout=SLICE_TIMEOUT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            schedule_to_close_timeout=GIVE_UP_AFTER,
            retry_policy=RETRY,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=f"page {part.page}: {part.start} to {part.end}" + (" again" if part.visit else ""),
        )

    async def _wait(self) -> None:
        """Return when there is something to do: a report, an update, or a page to visit again."""
        seconds = self._seconds_to_visit()
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._changed or any(each.handle.done() for each in self._under_way),
                timeout=seconds,
                timeout_summary="next visit",
            )

    def _seconds_to_visit(self) -> float | None:
        """None where a report comes first: a timer that is not needed costs events."""
        if self._state is not CampaignState.RUNNING:
            return None
        pace = pace_of(self._course.rate_per_second)
        visit_at = next_visit_at(self._course, self._parts)
        if visit_at is None or len(self._under_way) >= pace.in_flight:
            return None
        return max(0.0, visit_at - workflow.time())

    async def _continue_or_wait(self) -> None:
        """Continue as new once nothing is under way; slices stop by themselves, none is started meanwhile."""
        await workflow.wait_condition(
            lambda: (
                self._changed
                or any(each.handle.done() for each in self._under_way)
                or (not self._under_way and workflow.all_handlers_finished())
            )
        )
        if self._changed or self._under_way or not workflow.all_handlers_finished():
            return
        paused = self._state in PAUSED_STATES
        workflow.continue_as_new(replace(self._course, paused=paused, pause_reason=self._reason))

    async def _execute(self, activity: str, params: Any, result_type: type[Any]) -> Any:
        return await workflow.execute_activity(
            activity,
            params,
            result_type=result_type,
            # Slices may hold every slot of the bulk lane for a while; a command does not wait for one.
            task_queue=workflow.info().task_queue.removesuffix(Lane.BULK) + Lane.MASTER,
            start_to_close_timeout=ACTIVITY_TIMEOUT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            schedule_to_close_timeout=GIVE_UP_AFTER,
            retry_policy=RETRY,
            summary=activity.replace("_", " "),
        )

"""What a campaign's run has done by activities: their names, bounds and what a failure of one means."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from modules.application.worker import Lane
    from modules.campaign.run_types import CampaignSlice, FailedRunParams, SliceParams, SliceReport

PLAN_ACTIVITY = "plan_campaign"
COLLECT_ACTIVITY = "collect_audience"
SLICE_ACTIVITY = "deliver_campaign_slice"
CANCEL_ACTIVITY = "cancel_campaign_rest"
RECORD_ACTIVITY = "record_campaign_state"
LOOK_ACTIVITY = "look_at_campaign"
FAILURE_ACTIVITY = "count_failed_campaign_run"
HEARTBEAT_TIMEOUT = timedelta(seconds=15)
SLICE_TIMEOUT = timedelta(minutes=30)
ACTIVITY_TIMEOUT = timedelta(minutes=30)
# Whatever is away so long, the campaign waits; each try is bounded by itself and costs no event.
GIVE_UP_AFTER = timedelta(days=7)
RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))


def begin_slice(
    campaign_id: str, part: CampaignSlice, share_per_second: float | None
) -> workflow.ActivityHandle[SliceReport]:
    return workflow.start_activity(
        SLICE_ACTIVITY,
        SliceParams(
            campaign_id=campaign_id,
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


async def execute(activity: str, params: Any, result_type: type[Any]) -> Any:
    """The activity's result; raises ActivityError."""
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


def failed_run(campaign_id: str, error: ActivityError) -> FailedRunParams:
    """What is recorded of a run that this ends."""
    return FailedRunParams(
        campaign_id=campaign_id,
        run_id=workflow.info().run_id,
        code=code_of(error),
        final=isinstance(error.cause, ApplicationError) and error.cause.non_retryable,
    )


def code_of(error: ActivityError) -> str:
    """The code of what an activity failed with; for one that was too long away, which one it was."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.type:
        return cause.type
    return f"{error.activity_type}_timed_out"

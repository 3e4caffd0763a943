"""The batch worker: delivers a page of due rows by one activity, where a worker a row would cost too much."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from modules.application.markdown import as_code
    from modules.application.worker import Lane, WorkerStart
    from modules.notification.workers.params import BatchParams

DELIVER_RANGE_ACTIVITY = "deliver_due_range"
# A provider's pause keeps a page waiting in its claim; the activity itself ends when its rows are done.
ACTIVITY_TIMEOUT = timedelta(minutes=30)
HEARTBEAT_TIMEOUT = timedelta(seconds=15)
GIVE_UP_AFTER = timedelta(hours=1)
RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))
# What it leaves is due, and a later scan's.
RUN_TIMEOUT_SECONDS = 7_200.0


@workflow.defn(name="PushNotificationBatchWorker")
class PushNotificationBatchWorker:
    """One page of a scan: `push-batch/{id of its first row}`."""

    @staticmethod
    def describe(params: BatchParams) -> WorkerStart:
        return WorkerStart(
            workflow_id=f"push-batch/{params.first_id}",
            lane=Lane.BULK,
            run_timeout_seconds=RUN_TIMEOUT_SECONDS,
            summary=f"{params.rows} due push notifications",
            details=(
                f"Delivers push notifications {as_code(params.first_id)} "
                f"to {as_code(params.last.notification_id)}."
            ),
            memo={"first_id": params.first_id, "last_id": params.last.notification_id},
        )

    @workflow.run
    async def run(self, params: BatchParams) -> dict[str, int]:
        """Returns the rows by the status they came to; raises ActivityError when that could not be done."""
        counts: dict[str, int] = await workflow.execute_activity(
            DELIVER_RANGE_ACTIVITY,
            params,
            result_type=dict[str, int],
            start_to_close_timeout=ACTIVITY_TIMEOUT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            schedule_to_close_timeout=GIVE_UP_AFTER,
            retry_policy=RETRY,
            summary=f"{params.rows} due push notifications",
        )
        listed = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        workflow.set_current_details(listed or "Nothing was due any more")
        return counts

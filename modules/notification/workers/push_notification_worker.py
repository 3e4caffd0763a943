"""The individual worker: delivers one row, and stays with it between attempts when it is immediate."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from modules.application.markdown import as_code
    from modules.application.worker import Lane, WorkerStart
    from modules.notification.types import DeliveryReport, Priority, PushNotificationWorkerParams, Status
    from modules.notification.workers.params import DeliverParams

DELIVER_ACTIVITY = "deliver_push_notifications"
# Longer than the delivery code's own patience with an outcome that cannot be written.
DELIVER_TIMEOUT = timedelta(minutes=10)
GIVE_UP_AFTER = timedelta(minutes=30)
DELIVER_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=30)
)
LOCAL_RETRY_THRESHOLD = timedelta(seconds=10)
# A row that another worker has claimed is looked at again when that lease has surely ended.
LEASE_MARGIN_SECONDS = 0.5
MAX_ROUNDS = 200
LONGEST_STAY_SECONDS = 900.0
# A run that is stuck makes way for the master worker's next one.
RUN_TIMEOUT_SECONDS = 3_600.0


@workflow.defn(name="PushNotificationWorker")
class PushNotificationWorker:
    """One run at a time for a row: `push-notification/{id}`.

    A run that fails leaves its row due; the master worker starts the next one.
    """

    @staticmethod
    def describe(params: PushNotificationWorkerParams) -> WorkerStart:
        lane = Lane.IMMEDIATE if params.priority == Priority.IMMEDIATE else Lane.NORMAL
        return WorkerStart(
            workflow_id=f"push-notification/{params.notification_id}",
            lane=lane,
            summary=f"push {params.notification_id} ({params.priority})",
            run_timeout_seconds=RUN_TIMEOUT_SECONDS,
            details=(
                f"Delivers push notification {as_code(params.notification_id)} "
                f"to account {as_code(params.account_id)}."
                f"\n\n{as_code(f'notifications show {params.notification_id}')} prints its timeline."
            ),
            attributes={
                "NotificationId": params.notification_id,
                "AccountId": params.account_id,
                "NotificationPriority": params.priority,
            },
            memo={"notification_id": params.notification_id, "account_id": params.account_id},
        )

    @workflow.run
    async def run(self, params: PushNotificationWorkerParams) -> DeliveryReport:
        """Returns what the last round of attempts came to; raises ActivityError when it could not be made."""
        for _ in range(MAX_ROUNDS):
            report = await self._deliver(params)
            if report.retry_in_seconds is None or not self._stays(params, report):
                break
            workflow.set_current_details(
                f"{_in_words(report)}. Next attempt in {report.retry_in_seconds:.0f} s."
            )
            await workflow.sleep(report.retry_in_seconds + LEASE_MARGIN_SECONDS)
        workflow.set_current_details(_in_words(report))
        return report

    def _stays(self, params: PushNotificationWorkerParams, report: DeliveryReport) -> bool:
        """Immediate rows are retried here, unless a provider asks for a long pause; others by the scan.

        A row in another worker's claim is waited for, whatever its priority.
        """
        if report.retry_in_seconds is None or report.retry_in_seconds > LONGEST_STAY_SECONDS:
            return False
        return params.priority == Priority.IMMEDIATE or report.status is Status.PROCESSING

    async def _deliver(self, params: PushNotificationWorkerParams) -> DeliveryReport:
        reports: list[DeliveryReport] = await workflow.execute_local_activity(
            DELIVER_ACTIVITY,
            DeliverParams(
                notification_ids=[params.notification_id], grouped=params.priority != Priority.IMMEDIATE
            ),
            result_type=list[DeliveryReport],
            start_to_close_timeout=DELIVER_TIMEOUT,
            schedule_to_close_timeout=GIVE_UP_AFTER,
            retry_policy=DELIVER_RETRY,
            local_retry_threshold=LOCAL_RETRY_THRESHOLD,
            summary=f"push {params.notification_id}",
        )
        return reports[0]


def _in_words(report: DeliveryReport) -> str:
    counts = f"{report.accepted} device(s) accepted, {report.failed} did not"
    return f"Status **{report.status}** ({as_code(report.note)}): {counts}"

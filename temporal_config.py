"""What runs where: the worker classes, the slots of each task queue, and the schedules."""

from __future__ import annotations

from modules.application.worker import CronSchedule, Lane, WorkerClass
from modules.campaign.workers.campaign_worker import CampaignWorker
from modules.config.types import WorkerSettings
from modules.notification.workers.push_notification_batch_worker import PushNotificationBatchWorker
from modules.notification.workers.push_notification_worker import PushNotificationWorker
from modules.notification.workers.push_notifications_worker import PushNotificationsWorker

WORKERS: list[WorkerClass] = [
    PushNotificationsWorker,
    PushNotificationWorker,
    PushNotificationBatchWorker,
    CampaignWorker,
]

SEARCH_ATTRIBUTES = ("NotificationId", "AccountId", "NotificationPriority", "CampaignId")

# A scan is one activity at a time; the others are for what campaigns collect, record and take back.
MASTER_SLOTS = 12


def schedules(scan_cron: str, *, update: bool) -> list[CronSchedule]:
    """Every schedule; the master worker's expression is a setting. `update`: also change those that exist."""
    return [CronSchedule(PushNotificationsWorker, scan_cron, update=update)]


def worker_slots(settings: WorkerSettings) -> dict[Lane, int]:
    """The lanes of a worker process, and how many activities of each may run at once."""
    return {
        **caller_slots(settings),
        Lane.NORMAL: settings.max_concurrent_deliveries,
        Lane.MASTER: MASTER_SLOTS,
        Lane.BULK: settings.max_concurrent_pages,
    }


def caller_slots(settings: WorkerSettings) -> dict[Lane, int]:
    """The lanes of a process that calls the service: immediate sends run where they are asked for."""
    return {Lane.IMMEDIATE: settings.max_concurrent_immediate_deliveries}

"""`notifications bootstrap` and `worker`: preparing the servers, and serving."""

# ruff: noqa: PLC0415 - what is slow to import waits until a command needs it

from __future__ import annotations

import os
from contextlib import suppress

from modules.cli.output import JsonOption, show, show_fields
from modules.cli.serving import serving, wait_until_stopped
from modules.cli.session import application
from modules.cli.stop_signals import StopRequested, StopSignals


def bootstrap_command(_json: JsonOption = False) -> None:
    """Create or update collections, indexes, search attributes and the schedule; safe to repeat."""
    with application() as opened:
        from modules.application.application_service import ApplicationService
        from modules.notification.workers.push_notifications_worker import PushNotificationsWorker

        settings = opened.settings
        ApplicationService.schedule_worker_as_cron(
            cls=PushNotificationsWorker, cron_schedule=settings.scan.cron
        )
    show_fields(
        {
            "bootstrap": "ok",
            "database": settings.mongodb.database,
            "temporal": settings.temporal.address,
            "namespace": settings.temporal.namespace,
            "task_queues": f"{settings.temporal.task_queue_prefix}-*",
            "scan": settings.scan.cron,
        }
    )


def worker(_json: JsonOption = False) -> None:
    """Serve every task queue until SIGTERM or Ctrl-C, then finish what runs; a second signal ends at once.

    Ends with 3 when MongoDB or Temporal cannot be reached at the start, so that a supervisor starts it again.
    """
    with StopSignals() as signals, suppress(StopRequested):
        from modules.config.config_service import ConfigService

        settings = ConfigService.load()
        with serving(settings, signals):
            signals.ready()
            show({"ready": True, "pid": os.getpid()}, lambda console: console.print("ready"))
            wait_until_stopped(signals)

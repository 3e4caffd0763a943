"""`notifications bootstrap` and `worker`: preparing the servers, and serving."""

# ruff: noqa: PLC0415 - what is slow to import waits until a command needs it

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from modules.cli.output import JsonOption, show, show_fields
from modules.cli.serving import CLOSE_MARGIN_SECONDS, serving, wait_until_stopped
from modules.cli.session import application
from modules.cli.stop_signals import StopRequested, StopSignals
from modules.cli.supervision_rules import metrics_ports, usable_cores

if TYPE_CHECKING:
    from modules.config.types import Settings

MAX_PROCESSES = 256
METRICS_PORT_VARIABLE = "METRICS_PORT"
# A process ends itself when its own time is over; the supervisor looks a little later.
SUPERVISOR_MARGIN_SECONDS = 2.0


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


def worker(
    processes: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_PROCESSES, help="How many; as many as cores can be used, unless given."),
    ] = None,
    _json: JsonOption = False,
) -> None:
    """Serve every task queue until SIGTERM or Ctrl-C, then finish what runs; a second signal ends at once.

    Ends with 3 when MongoDB or Temporal cannot be reached at the start, so that a supervisor starts it again,
    and with 78 when a setting has to be mended.
    Several processes are started, watched and replaced by this one, which then serves nothing itself.
    """
    with StopSignals() as signals, suppress(StopRequested):
        from modules.config.config_service import ConfigService

        settings = ConfigService.load()
        count = processes or usable_cores()
        if count == 1:
            _serve(settings, signals)
        else:
            _supervise(settings, count, signals)


def _serve(settings: Settings, signals: StopSignals) -> None:
    with serving(settings, signals):
        signals.ready()
        _announce({"ready": True, "pid": os.getpid()})
        wait_until_stopped(signals)


def _supervise(settings: Settings, count: int, signals: StopSignals) -> None:
    from modules.cli.worker_child import WorkerChild
    from modules.cli.worker_supervisor import SupervisionLimits, WorkerSupervisor
    from modules.logger.logger_service import LoggerService

    ports = metrics_ports(settings.metrics.port, count)

    def start_child(number: int) -> WorkerChild:
        port = ports[number]
        return WorkerChild(os.environ if port is None else {**os.environ, METRICS_PORT_VARIABLE: str(port)})

    def announce(pids: Sequence[int]) -> None:
        _announce({"ready": True, "pid": os.getpid(), "processes": pids})

    LoggerService.configure(settings.logging)
    grace_seconds = settings.worker.graceful_shutdown_seconds
    supervisor = WorkerSupervisor(
        count=count,
        start_child=start_child,
        limits=SupervisionLimits(
            drain_seconds=grace_seconds + CLOSE_MARGIN_SECONDS + SUPERVISOR_MARGIN_SECONDS,
            max_memory_mib=settings.worker.max_memory_mib,
        ),
        on_ready=announce,
    )
    # From here on a signal only ends the wait: raised while a process is being started, it would be lost.
    signals.ready()
    supervisor.run(signals)


def _announce(document: Mapping[str, object]) -> None:
    show(document, lambda console: console.print("ready"))

"""Serves every task queue from this process until it is told to stop."""

# ruff: noqa: PLC0415 - what is slow to import waits until a command needs it

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from modules.application.errors import ConfigurationError, ServiceError
from modules.cli.exit_codes import ExitCode
from modules.cli.stop_signals import StopSignals, end_after

if TYPE_CHECKING:
    from bootstrap import Application
    from modules.config.types import Settings

# What closing may take on top of the grace period: Temporal's own margin, then the connections.
CLOSE_MARGIN_SECONDS = 10.0
LOOK_EVERY_SECONDS = 1.0


class WorkerEndedError(ServiceError):
    """The process no longer serves although nobody asked it to stop."""

    def __init__(self, cause: BaseException | None) -> None:
        name = f" ({type(cause).__name__})" if cause else ""
        super().__init__(code="worker_ended", reason=f"serving ended by itself{name}; start the worker again")


@contextmanager
def serving(settings: Settings, signals: StopSignals) -> Iterator[Application]:
    """A worker that polls when the block begins; closed, within the grace period, when it ends.

    Raises UnavailableError without MongoDB or Temporal, ConfigurationError, and StopRequested.
    """
    from bootstrap import Role, bootstrap
    from modules.application.application_service import ApplicationService
    from modules.logger.logger_service import LoggerService

    LoggerService.configure(settings.logging)
    application = bootstrap(settings, role=Role.WORKER)
    try:
        if settings.metrics.port is not None:
            _serve_metrics(settings.metrics.host, settings.metrics.port)
        application.loop_thread.run(ApplicationService.wait_polling_async())
        threading.Thread(
            target=_watch, args=(application, signals), name="watch-serving", daemon=True
        ).start()
        yield application
    finally:
        timer = end_after(settings.worker.graceful_shutdown_seconds + CLOSE_MARGIN_SECONDS, ExitCode.REFUSED)
        application.close()
        timer.cancel()


def wait_until_stopped(signals: StopSignals, look: Callable[[], None] | None = None) -> None:
    """Return when a signal asks to stop; raises WorkerEndedError, or what `look`, called often, raises."""
    while not signals.wait(LOOK_EVERY_SECONDS):
        if look is not None:
            look()


def _watch(application: Application, signals: StopSignals) -> None:
    from modules.application.application_service import ApplicationService

    cause: BaseException | None = None
    try:
        application.loop_thread.run(ApplicationService.wait_served_async())
    except BaseException as error:  # noqa: BLE001  told to the main thread, which ends the process
        cause = error
    signals.failed(WorkerEndedError(cause))


def _serve_metrics(host: str, port: int) -> None:
    from prometheus_client import start_http_server

    try:
        start_http_server(port, addr=host)
    except OSError as error:
        of_the_port = error.errno in (errno.EADDRINUSE, errno.EACCES)
        field, said = ("metrics.port", f"port {port}") if of_the_port else ("metrics.host", "this interface")
        raise ConfigurationError(
            code="metrics_port_unusable", field=field, reason=f"{said}: {error.strerror}"
        ) from error

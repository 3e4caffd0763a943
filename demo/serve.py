"""The demo's worker process: serves every task queue until it is told to stop or its starter is gone."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from typing import NoReturn

from bootstrap import Application, Role, bootstrap
from modules.application.application_service import ApplicationService
from modules.application.errors import ServiceError
from modules.config.config_service import ConfigService
from modules.logger.logger_service import LoggerService

READY = "ready"


def serve(also: Callable[[Application], None] | None = None) -> int:
    """Print `ready` once it serves; return when stdin ends, at SIGTERM, or when serving fails.

    `also` is called with the application before it is ready.
    """
    told_to_stop: Future[None] = Future()

    def stop(*_: object) -> None:
        if not told_to_stop.done():
            told_to_stop.set_result(None)

    signal.signal(signal.SIGTERM, stop)
    try:
        settings = ConfigService.load()
        LoggerService.configure(settings.logging)
        application = bootstrap(settings, role=Role.WORKER)
        application.loop_thread.run(ApplicationService.wait_polling_async())
    except ServiceError as error:
        print(f"worker: {error.reason}", file=sys.stderr, flush=True)
        return 1
    if also is not None:
        also(application)
    threading.Thread(target=_until_end_of_input, args=(stop,), daemon=True).start()
    threading.Thread(target=_until_serving_ends, args=(application, told_to_stop), daemon=True).start()
    print(READY, flush=True)
    try:
        told_to_stop.result()
    finally:
        application.close()
    return 0


def run_process(main: Callable[[], int]) -> NoReturn:
    """End this process with the code `main` returns: temporalio now and then aborts at interpreter exit."""
    code = 1
    try:
        code = main()
    except KeyboardInterrupt:
        code = 130
    except BaseException:  # noqa: BLE001 - the process ends here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _until_end_of_input(stop: Callable[[], None]) -> None:
    # The pipe's other end closes with the starter, also when that is killed.
    sys.stdin.read()
    stop()


def _until_serving_ends(application: Application, told_to_stop: Future[None]) -> None:
    try:
        application.loop_thread.run(ApplicationService.wait_served_async())
    except BaseException as error:  # noqa: BLE001 - handed to the main thread
        if not told_to_stop.done():
            told_to_stop.set_exception(error)


if __name__ == "__main__":
    run_process(serve)

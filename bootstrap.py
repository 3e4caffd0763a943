"""Composes the application from the settings; the only place that knows every room."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from enum import Enum
from functools import partial
from typing import Any, Self

from modules.account.account_service import AccountService
from modules.application.application_service import ApplicationService
from modules.application.errors import CannotServeHereError, HostUnknownError, UnavailableError
from modules.application.event_loop_thread import EventLoopThread
from modules.application.forked_process import keep_for_ever
from modules.application.garbage_collection import collect_rarely
from modules.application.mongo_database import MongoDatabase
from modules.application.program_end import keep_ending_by_interrupt
from modules.application.service_facade import ServiceFacade
from modules.application.service_loop import LibraryLoop, WorkerLoop
from modules.application.worker import WorkerPlan
from modules.authentication.authentication_service import AuthenticationService
from modules.campaign.campaign_service import CampaignService
from modules.campaign.workers.campaign_activities import CampaignActivities
from modules.campaign.workers.campaign_run import TemporalCampaignRuns, run_campaign
from modules.config.config_service import ConfigService
from modules.config.types import Settings
from modules.device_token.device_token_service import DeviceTokenService
from modules.erasure.erasure_service import ErasureService
from modules.logger.logger_service import get_logger
from modules.notification.bulk_service import BulkService
from modules.notification.notification_service import NotificationService
from modules.notification.workers.activities import PushNotificationActivities
from modules.notification.workers.push_notification_worker import PushNotificationWorker
from modules.preference.preference_service import PreferenceService
from temporal_config import SEARCH_ATTRIBUTES, WORKERS, caller_slots, schedules, worker_slots

_FACADES = (
    ErasureService,
    CampaignService,
    BulkService,
    NotificationService,
    AuthenticationService,
    PreferenceService,
    DeviceTokenService,
    AccountService,
    ApplicationService,
)


class Role(Enum):
    """What a process is for: it calls the service, serves every task queue, or only asks and administers."""

    CALLER = "caller"
    WORKER = "worker"
    # A short command that polled a task queue would now and then take a task along into its end.
    OPERATOR = "operator"


class Application:
    """Everything bootstrap has opened in this process."""

    def __init__(self, settings: Settings, role: Role) -> None:
        self.settings = settings
        self.role = role
        self.loop_thread = EventLoopThread(loop=WorkerLoop() if role is Role.WORKER else LibraryLoop())
        self._process_id = os.getpid()
        self._database: MongoDatabase | None = None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close_async()

    @property
    def database(self) -> MongoDatabase:
        assert self._database is not None
        return self._database

    async def start(self) -> None:
        """Open MongoDB, create collections and indexes, bind the services, and try Temporal.

        Raises UnavailableError without MongoDB, ConfigurationError for settings that cannot be used.
        Without Temporal a caller starts all the same: rows are accepted, and the connection is tried again
        with every immediate send.
        """
        settings, loop_thread = self.settings, self.loop_thread
        self._database = database = MongoDatabase(settings.mongodb)
        await database.ping()
        # From here on threads and native parts of libraries are in use that no fork survives.
        _Current.is_in_use = True
        await AccountService.start(database=database, loop_thread=loop_thread)
        await DeviceTokenService.start(
            database=database,
            loop_thread=loop_thread,
            max_per_account=settings.device.max_per_account,
            inactive_days=settings.retention.inactive_devices_days,
        )
        await PreferenceService.start(database=database, loop_thread=loop_thread)
        await NotificationService.start(
            database=database,
            loop_thread=loop_thread,
            settings=settings,
            run_worker=partial(
                ApplicationService.run_worker_immediately_async,
                cls=PushNotificationWorker,
                wait_seconds=settings.immediate.wait_seconds,
            ),
        )
        await CampaignService.start(
            database=database,
            loop_thread=loop_thread,
            settings=settings,
            run=run_campaign,
            runs=TemporalCampaignRuns(),
        )
        await AuthenticationService.start(
            database=database,
            loop_thread=loop_thread,
            settings=settings.one_time_password,
            send_push=NotificationService.send_push_for_account_async,
            read_push=NotificationService.get_push_notification_async,
            app_ids=frozenset(settings.fcm.all_apps()),
        )
        ErasureService.start(loop_thread=loop_thread)
        await ApplicationService.start(
            settings=settings.temporal,
            loop_thread=loop_thread,
            search_attributes=SEARCH_ATTRIBUTES,
            in_forked_process=_Current.is_forked,
        )
        # The SDK's and the HTTP client's native parts do not survive a fork: workers send for such a process.
        if self.role is not Role.OPERATOR and not _Current.is_forked:
            await self._serve()

    async def _serve(self) -> None:
        """Get ready to send, and serve the task queues of this process's role."""
        await NotificationService.warm_up()
        if self.role is Role.WORKER:
            collect_rarely()
        try:
            await ApplicationService.serve_async(plan=self._plan())
        except (UnavailableError, HostUnknownError) as error:
            if self.role is Role.WORKER:
                raise
            get_logger().warning(
                "starting without Temporal", action="bootstrap.temporal_unavailable", reason=error.reason
            )

    def _plan(self) -> WorkerPlan:
        settings = self.settings
        caller = self.role is Role.CALLER
        return WorkerPlan(
            workers=WORKERS,
            activities=self._activities(),
            # Callers are many and may run with an older setting: the workers' expression holds.
            schedules=schedules(settings.scan.cron, update=not caller),
            slots=caller_slots(settings.worker) if caller else worker_slots(settings.worker),
            grace_seconds=settings.worker.graceful_shutdown_seconds,
            local_only=caller,
            # A worker process ends instead, and its supervisor starts it again.
            lasting=caller,
        )

    def _activities(self) -> list[Callable[..., Any]]:
        scan = self.settings.scan
        rows = PushNotificationActivities(
            notifications=NotificationService,
            application=ApplicationService,
            page_size=scan.page_size,
            batch_threshold=scan.batch_threshold,
        )
        return [*rows.all(), *CampaignActivities(CampaignService).all()]

    def close(self) -> None:
        """Finish what runs, within the grace period, and release everything; safe to call twice.

        Other calls raise ApplicationClosedError from then on, NotBootstrappedError in the end; those under
        way come first, and what of them lasts longer is cut with an error that says what may have happened.
        In a process that was forked meanwhile it closes what the services opened there. Raises
        WouldDeadlockError on the service's own loop.
        """
        if os.getpid() != self._process_id:
            _close_opened_in_child()
            return
        self.loop_thread.require_other_thread()
        with _Current.lock:
            if self._closed:
                return
            self._closed = True
            try:
                self.loop_thread.run_last(self._stop())
            finally:
                self._let_go()

    async def close_async(self) -> None:
        """As `close`, for async code: the caller's loop goes on. Cancelling it does not stop the closing."""
        self.loop_thread.require_other_thread()
        await asyncio.to_thread(self.close)

    def _let_go(self) -> None:
        try:
            self.loop_thread.stop()
        finally:
            for facade in _FACADES:
                facade.unbind()
            self._database = None
            if _Current.application is self:
                _Current.application = None
                atexit.unregister(_close_at_exit)

    async def _stop(self) -> None:
        grace_seconds = self.settings.worker.graceful_shutdown_seconds
        until = time.monotonic() + grace_seconds
        async with AsyncExitStack() as stopping:
            if self._database is not None:
                stopping.push_async_callback(self._database.close)
            if NotificationService.is_bound():
                stopping.push_async_callback(NotificationService.stop)
            if ApplicationService.is_bound():
                stopping.push_async_callback(_stop_serving, until)
            # First of all, since the calls under way need the rest.
            stopping.push_async_callback(self.loop_thread.end_calls, within_seconds=grace_seconds)


async def _stop_serving(until: float) -> None:
    await ApplicationService.stop(grace_seconds=max(0.0, until - time.monotonic()))


class _Current:
    # Held while an application opens or closes; reentrant since one that cannot open closes itself.
    lock = threading.RLock()
    application: Application | None = None
    opening: Application | None = None
    # Whether an application was opened in this process, or tried to.
    is_in_use = False
    # Whether one was before a fork in this process's past.
    is_forked = False


def bootstrap(settings: Settings | None = None, *, role: Role = Role.CALLER) -> Application:
    """Make this process able to use the services; returns what is to be closed at the end.

    Creates collections, indexes, search attributes and the schedule, or brings them up to date: safe to run
    again, and any number of processes may do so. A caller leaves a schedule that exists as it is. A second
    call in one process returns the first one's application, also to another thread. What nobody closes is
    closed when the program ends. A process forked later bootstraps itself when it first calls a service.
    Nothing of the process is configured: logs go to the logger `notification_service`.
    Raises UnavailableError when MongoDB cannot be reached, ConfigurationError when settings cannot be used,
    CannotServeHereError for a worker in a process that was forked after bootstrap.
    """
    with _Current.lock:
        if _Current.application is not None:
            return _Current.application
        if role is Role.WORKER and _Current.is_forked:
            raise CannotServeHereError
        settings = settings or ConfigService.load()
        _Current.opening = application = Application(settings, role)
        try:
            application.loop_thread.run(application.start())
        except BaseException:
            _close_failed(application)
            _Current.opening = None
            raise
        _Current.application, _Current.opening = application, None
        ServiceFacade.open_on_use(None)
        # The SDK's threads must be gone before the interpreter is.
        atexit.register(_close_at_exit)
        return application


async def bootstrap_async(settings: Settings | None = None, *, role: Role = Role.CALLER) -> Application:
    """As `bootstrap`, for async code: the caller's loop goes on. Cancelling it does not stop the opening."""
    return await asyncio.to_thread(bootstrap, settings, role=role)


def _close_failed(application: Application) -> None:
    # Why it could not open is what the caller has to hear.
    try:
        application.close()
    except Exception as error:  # noqa: BLE001 - logged by its name
        get_logger().warning("not closed", action="bootstrap.not_closed", error=type(error).__name__)


def _close_at_exit() -> None:
    if _Current.application is not None:
        _close_failed(_Current.application)
        keep_ending_by_interrupt()


def _close_opened_in_child() -> None:
    ServiceFacade.open_on_use(None)
    if _Current.application is not None:
        _Current.application.close()


def _leave_to_parent() -> None:
    """In a forked child: the parent's application, its thread and its connections are not this process's.

    Nor is one that was just being opened or closed, and the lock that a thread of the parent held for that.
    """
    parent = _Current.application or _Current.opening
    _Current.lock = threading.RLock()
    _Current.application = _Current.opening = None
    _Current.is_forked = _Current.is_forked or _Current.is_in_use
    keep_for_ever([parent, [facade.binding() for facade in _FACADES]])
    for facade in _FACADES:
        facade.unbind()
    if parent is not None:
        role = Role.OPERATOR if parent.role is Role.OPERATOR else Role.CALLER
        ServiceFacade.open_on_use(partial(bootstrap, parent.settings, role=role))


# At import: a fork may come while the first application is being opened.
os.register_at_fork(after_in_child=_leave_to_parent)

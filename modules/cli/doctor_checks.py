"""The checks of `notifications doctor`: each one runs, whatever became of the others."""

# ruff: noqa: PLC0415 - what is slow to import waits until a command needs it

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from modules.application.errors import ConfigurationError, ServiceError
from modules.application.setting_names import named_setting

if TYPE_CHECKING:
    from modules.application.event_loop_thread import EventLoopThread
    from modules.config.types import Settings

# Expiry and leases use the database's clock; what people compare them with is this host's.
MAX_CLOCK_SKEW_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found. `remedy` says what to do, None when nothing is wrong."""

    check: str
    ok: bool
    detail: str
    remedy: str | None = None


def examine() -> list[Finding]:
    """Make every check, all at once; needs nothing but this host."""
    from modules.application.event_loop_thread import EventLoopThread
    from modules.cli.session import quiet
    from modules.config.config_service import ConfigService
    from modules.logger.logger_service import LoggerService

    try:
        settings = quiet(ConfigService.load())
    except ConfigurationError as error:
        remedy = "mend the variable or the file under config/; the other checks need the settings"
        detail = "; ".join(f"{named_setting(each.field or '')}: {each.reason}" for each in error.problems)
        return [Finding(check="settings", ok=False, detail=detail, remedy=remedy)]
    LoggerService.configure(settings.logging)
    loop_thread = EventLoopThread()
    try:
        found = loop_thread.run(_examine(settings, loop_thread))
    finally:
        loop_thread.stop()
    return [Finding(check="settings", ok=True, detail="read"), *found]


async def _examine(settings: Settings, loop_thread: EventLoopThread) -> list[Finding]:
    groups = await asyncio.gather(
        _check_database(settings),
        _check_temporal(settings, loop_thread),
        _check_providers(settings),
    )
    return [finding for group in groups for finding in group]


async def _finding(check: str, remedy: str, work: Callable[[], Awaitable[Finding | str]]) -> Finding:
    """What `work` finds, or the error it ends with; `remedy` is the advice for an error."""
    try:
        found = await work()
    except ServiceError as error:
        return _wrong(check, error, remedy)
    except Exception as error:  # noqa: BLE001  a check that breaks must not keep the others from being made
        return Finding(check=check, ok=False, detail=f"unexpected {type(error).__name__}", remedy=remedy)
    return found if isinstance(found, Finding) else Finding(check=check, ok=True, detail=found)


def _wrong(check: str, error: ServiceError, remedy: str) -> Finding:
    """A setting that is to blame is the one to mend; anything else may be due to several."""
    where = f"{named_setting(error.field)}: " if error.field else ""
    if isinstance(error, ConfigurationError) and error.field is not None:
        remedy = f"mend {named_setting(error.field)}"
    return Finding(check=check, ok=False, detail=f"{where}{error.reason} ({error.code})", remedy=remedy)


async def _check_database(settings: Settings) -> list[Finding]:
    from modules.application.mongo_database import MongoDatabase

    remedy = "start MongoDB 6.0 or newer as a replica set, or mend MONGODB_URI"
    # The driver looks for a server until the operation's time is up; who asks a doctor waits less.
    patience_seconds = settings.mongodb.server_selection_timeout_seconds
    impatient = settings.mongodb.model_copy(update={"operation_timeout_seconds": patience_seconds})
    try:
        database = MongoDatabase(impatient)
    except ConfigurationError as error:
        return [_wrong("mongodb", error, remedy)]

    async def mongodb() -> Finding | str:
        hello = await database.ping()
        await database.check_access()
        if not hello.get("isWritablePrimary"):
            detail, advice = "the member reached is not primary", "leave directConnection out of MONGODB_URI"
            return Finding(check="mongodb", ok=False, detail=detail, remedy=advice)
        where = f"primary of replica set {hello['setName']}" if "setName" in hello else "a sharded cluster"
        return f"{where}, database {settings.mongodb.database}"

    async def clock() -> Finding | str:
        theirs = await database.clock.now()
        ours = datetime.now(UTC)
        skew_seconds = (ours - theirs).total_seconds()
        if abs(skew_seconds) > MAX_CLOCK_SKEW_SECONDS:
            return Finding(
                check="clock",
                ok=False,
                detail=f"this host is {skew_seconds:+.1f} s from the database",
                remedy="let both keep time by NTP",
            )
        return f"this host is {skew_seconds:+.2f} s from the database"

    try:
        return list(
            await asyncio.gather(
                _finding("mongodb", remedy, mongodb),
                _finding("clock", "mend MongoDB first, its clock is the one that counts", clock),
            )
        )
    finally:
        await database.close()


async def _check_temporal(settings: Settings, loop_thread: EventLoopThread) -> list[Finding]:
    from modules.application.application_service import ApplicationService
    from modules.notification.workers.push_notifications_worker import PushNotificationsWorker
    from temporal_config import SEARCH_ATTRIBUTES

    await ApplicationService.start(
        settings=settings.temporal, loop_thread=loop_thread, search_attributes=SEARCH_ATTRIBUTES
    )

    async def temporal() -> str:
        await ApplicationService.check_async()
        names = ", ".join(SEARCH_ATTRIBUTES)
        return (
            f"{settings.temporal.address}, namespace {settings.temporal.namespace}, search attributes {names}"
        )

    async def schedule() -> Finding | str:
        state = await ApplicationService.schedule_state_async(cls=PushNotificationsWorker)
        if state is None:
            advice = "run `notifications bootstrap`"
            return Finding(check="schedule", ok=False, detail="the scan is not scheduled", remedy=advice)
        if state.paused:
            advice = "unpause it in Temporal's Web UI, under Schedules"
            return Finding(check="schedule", ok=False, detail="the scan's schedule is paused", remedy=advice)
        if state.next_run_at is None:
            advice = f"mend {named_setting('scan.cron')}, then run `notifications bootstrap`"
            detail = "no scan will ever run: the expression names no moment to come"
            return Finding(check="schedule", ok=False, detail=detail, remedy=advice)
        return f"next scan {state.next_run_at.isoformat()}"

    remedy = "start Temporal, or mend TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and the TLS or API key settings"
    try:
        return [
            await _finding("temporal", remedy, temporal),
            await _finding("schedule", "mend Temporal first, it holds the schedule", schedule),
        ]
    finally:
        ApplicationService.unbind()


async def _check_providers(settings: Settings) -> list[Finding]:
    from modules.notification.notification_service import NotificationService

    apps = settings.fcm.all_apps()
    if not apps:
        advice = "set FCM_CREDENTIALS_PATH to a service account file"
        return [Finding(check="fcm", ok=False, detail="no FCM app is configured", remedy=advice)]

    def checking(app_id: str) -> Callable[[], Awaitable[str]]:
        async def check() -> str:
            await NotificationService.check_provider(settings=settings, app_id=app_id)
            return f"{settings.fcm.endpoint} took a message with validate_only"

        return check

    remedy = "mend the service account file, FCM_CREDENTIALS_PATH, FCM_ENDPOINT or FCM_CA_FILE"
    return list(await asyncio.gather(*(_finding(f"fcm:{app}", remedy, checking(app)) for app in apps)))

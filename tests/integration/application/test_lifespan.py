"""An application that opens and closes within an async program, as an ASGI server does it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
import structlog
from pydantic import SecretStr
from temporalio.client import Client

from bootstrap import Application, Role, bootstrap, bootstrap_async
from local_stack.local_stack_service import LocalStack
from modules.application.application_service import ApplicationService
from modules.application.errors import (
    ApplicationClosedError,
    NotBootstrappedError,
    UnavailableError,
    WouldDeadlockError,
)
from modules.config.types import Settings
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Platform, TargetKind
from modules.logger.logger_service import LOGGER_NAME, get_logger
from modules.notification.errors import ImmediateSendDeferredError
from modules.notification.notification_service import NotificationService
from modules.notification.types import SendPushParams, Status
from tests.support.process_logs import logging_as_before
from tests.support.push_service import settings_for
from tests.support.workflow_runs import delete_schedules

Message = MutableMapping[str, Any]
PARAMS = SendPushParams(title="Appointment", body="Tomorrow at ten")
# A call is answered, cut off, or comes too late.
ENDINGS = (ApplicationClosedError, NotBootstrappedError, ImmediateSendDeferredError)
NOWHERE = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300"


@pytest.fixture
async def settings(stack: LocalStack, database_name: str) -> AsyncIterator[Settings]:
    prefix = f"test-{uuid4().hex[:12]}"
    settings = settings_for(stack, database_name, {"TEMPORAL_TASK_QUEUE_PREFIX": prefix})
    yield settings
    client = await Client.connect(settings.temporal.address, namespace=settings.temporal.namespace)
    await delete_schedules(client, prefix)


@pytest.fixture(autouse=True)
def nothing_left_open() -> Iterator[None]:
    yield
    assert not NotificationService.is_bound()
    assert "notification-service" not in {thread.name for thread in threading.enumerate()}


async def send() -> Status:
    await DeviceTokenService.register_device_async(
        account_id="account-1", platform=Platform.ANDROID, kind=TargetKind.TOKEN, address=uuid4().hex
    )
    notification_id = await NotificationService.send_push_for_account_async(
        account_id="account-1", params=PARAMS, immediate=True
    )
    row = await NotificationService.get_push_notification_async(notification_id=notification_id)
    return row.status


@asynccontextmanager
async def ticking() -> AsyncIterator[list[float]]:
    """The moments at which this loop had time for something else."""
    loop, ticks = asyncio.get_running_loop(), list[float]()

    async def tick() -> None:
        while True:
            ticks.append(loop.time())
            await asyncio.sleep(0.001)

    ticker = asyncio.create_task(tick())
    try:
        yield ticks
    finally:
        ticker.cancel()
        await asyncio.wait({ticker})


class AsgiApplication:
    """The lifespan part of an ASGI application, and one endpoint."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def __call__(self, scope: Message, receive: Any, send_message: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            async with await bootstrap_async(self._settings):
                await send_message({"type": "lifespan.startup.complete"})
                await receive()
            await send_message({"type": "lifespan.shutdown.complete"})
        else:
            await send_message({"type": "http.response.start", "status": 200})
            await send_message({"type": "http.response.body", "body": (await send()).value.encode()})


async def test_an_asgi_lifespan_opens_sends_and_closes_twice_and_never_blocks_the_loop(
    settings: Settings,
) -> None:
    app = AsgiApplication(settings)
    for _ in range(2):
        events: asyncio.Queue[Message] = asyncio.Queue()
        said: asyncio.Queue[Message] = asyncio.Queue()
        async with ticking() as ticks:
            living = asyncio.create_task(app({"type": "lifespan"}, events.get, said.put))
            await events.put({"type": "lifespan.startup"})
            assert (await said.get())["type"] == "lifespan.startup.complete"
            opened = len(ticks)
            await app({"type": "http"}, events.get, said.put)
            assert [(await said.get())["type"], (await said.get())["body"]] == [
                "http.response.start",
                b"sent",
            ]
            served = len(ticks)
            await events.put({"type": "lifespan.shutdown"})
            assert (await said.get())["type"] == "lifespan.shutdown.complete"
            await living
        assert opened > 10
        assert served > opened
        assert len(ticks) > served
        with pytest.raises(NotBootstrappedError):
            await send()


async def test_the_plain_ones_work_under_a_running_loop_too(settings: Settings) -> None:
    for _ in range(2):
        application = bootstrap(settings)
        assert bootstrap() is application
        assert await send() is Status.SENT
        application.close()
        application.close()
        with pytest.raises(NotBootstrappedError):
            await send()
    with bootstrap(settings) as application:
        assert await send() is Status.SENT


@pytest.mark.parametrize("opening", ["plain", "async"])
async def test_one_that_cannot_open_says_why_and_the_next_may(settings: Settings, opening: str) -> None:
    mongodb = settings.mongodb.model_copy(
        update={"uri": SecretStr(NOWHERE), "server_selection_timeout_seconds": 0.3}
    )
    away = settings.model_copy(update={"mongodb": mongodb})
    with pytest.raises(UnavailableError) as error:
        _ = bootstrap(away) if opening == "plain" else await bootstrap_async(away)
    assert error.value.code == "database_unavailable"
    async with await bootstrap_async(settings):
        assert await send() is Status.SENT


async def test_closing_on_the_services_own_loop_is_refused_and_closes_nothing(settings: Settings) -> None:
    application = await bootstrap_async(settings)

    async def close_there(application: Application) -> None:
        application.close()

    with pytest.raises(WouldDeadlockError):
        application.loop_thread.run(close_there(application))
    with pytest.raises(WouldDeadlockError):
        application.loop_thread.run(application.close_async())
    assert await send() is Status.SENT
    await application.close_async()


async def test_those_who_open_at_once_share_one_and_those_who_close_at_once_close_it_once(
    settings: Settings,
) -> None:
    opened = await asyncio.gather(
        *(bootstrap_async(settings) for _ in range(4)), *(asyncio.to_thread(bootstrap) for _ in range(4))
    )
    assert len(set(opened)) == 1
    await asyncio.gather(
        *(each.close_async() for each in opened[:4]), *(asyncio.to_thread(each.close) for each in opened[4:])
    )


async def test_calls_that_meet_a_closing_application_end(settings: Settings) -> None:
    application = await bootstrap_async(settings)
    calls = [asyncio.create_task(send()) for _ in range(20)]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    closing = asyncio.create_task(application.close_async())
    calls += [asyncio.create_task(send()) for _ in range(20)]
    done, waiting = await asyncio.wait(calls, timeout=30)
    assert not waiting
    await closing
    errors = [each.exception() for each in done]
    assert {type(error) for error in errors} <= {type(None), *ENDINGS}
    assert not [error for error in errors if getattr(error, "may_have_happened", False)], "none was cut"


async def test_a_workers_wait_for_its_own_end_does_not_hold_up_the_close(settings: Settings) -> None:
    patient = settings.worker.model_copy(update={"graceful_shutdown_seconds": 3600.0})
    application = await bootstrap_async(settings.model_copy(update={"worker": patient}), role=Role.WORKER)
    waiting = asyncio.create_task(ApplicationService.wait_served_async())
    await asyncio.sleep(0)
    # Asked for later, answered once the other is under way.
    await ApplicationService.check_async()
    await application.close_async()
    await waiting


async def test_a_hosts_logging_is_its_own_while_the_service_works(settings: Settings) -> None:
    heard: list[str] = []

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    names = ["", LOGGER_NAME, "pymongo", "temporalio", "temporalio.activity", "asyncio"]

    def state() -> list[Any]:
        loggers = [logging.getLogger(name) for name in names]
        return [(each.handlers[:], each.filters[:], each.level, each.propagate) for each in loggers]

    with logging_as_before(), contextlib.ExitStack() as after:
        logging.getLogger().addHandler(Heard())
        logging.getLogger().setLevel(logging.WARNING)
        structlog.configure(processors=[structlog.processors.JSONRenderer(sort_keys=True)])
        after.callback(structlog.reset_defaults)
        before = state(), structlog.get_config()
        async with await bootstrap_async(settings, role=Role.OPERATOR):
            assert (state(), structlog.get_config()) == before
            get_logger().warning("heard", action="test.heard", token="secret")
        assert (state(), structlog.get_config()) == before
    assert heard == ["heard action=test.heard token=[redacted]"]

"""A host's own calls that are under way when it closes: answered, or told that they may have happened."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from pymongo import MongoClient

import bootstrap as composition
from bootstrap import Application, Role, bootstrap
from local_stack.local_stack_service import LocalStack
from modules.application.application_service import ApplicationService
from modules.application.errors import ApplicationClosedError, NotBootstrappedError, UnavailableError
from modules.campaign.campaign_service import CampaignService
from modules.campaign.errors import CampaignDeferredError, CampaignUnconfirmedError
from modules.campaign.types import AccountList
from modules.config.types import Settings
from modules.notification.errors import ImmediateSendDeferredError, NotificationUnconfirmedError
from modules.notification.notification_service import NotificationService
from modules.notification.types import SendPushParams
from tests.support.held_insert import HeldInsert
from tests.support.push_rows import Document
from tests.support.push_service import settings_for
from tests.support.servers import eventually

ACCOUNT = "account-1"
KEY = "wanted"
PARAMS = SendPushParams(title="Appointment", body="Tomorrow at ten")
# Nothing listens there: calls that need Temporal only at their end have done all else before.
WITHOUT_TEMPORAL = {"TEMPORAL_ADDRESS": "127.0.0.1:1"}
LONG, SHORT = "600", "0.05"


def send(key: str) -> str:
    return NotificationService.send_push_for_account(account_id=ACCOUNT, params=PARAMS, idempotency_key=key)


def send_now(key: str) -> str:
    return NotificationService.send_push_for_account(
        account_id=ACCOUNT, params=PARAMS, idempotency_key=key, immediate=True
    )


def send_to_audience(key: str) -> str:
    return CampaignService.send_push_to_audience(
        audience=AccountList(account_ids=[ACCOUNT]), params=PARAMS, campaign_key=key
    )


def settings(stack: LocalStack, database: str, grace_seconds: str, **over: str) -> Settings:
    said = {**WITHOUT_TEMPORAL, "WORKER_GRACEFUL_SHUTDOWN_SECONDS": grace_seconds, **over}
    return settings_for(stack, database, said)


def held_row(stack: LocalStack, database: str) -> HeldInsert:
    send("first")
    key = {"account_id": ACCOUNT, "idempotency_key": KEY}
    return HeldInsert(stack.mongodb_uri, database, "push_notifications", key)


def held_campaign(stack: LocalStack, database: str) -> HeldInsert:
    with pytest.raises(CampaignDeferredError):
        send_to_audience("first")
    return HeldInsert(stack.mongodb_uri, database, "campaigns", {"campaign_key": KEY})


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


async def close(application: Application) -> None:
    application.close()


async def leave_block(application: Application) -> None:
    with application:
        pass


async def leave_async_block(application: Application) -> None:
    async with application:
        pass


CLOSINGS = {
    "close": close,
    "close_async": Application.close_async,
    "with": leave_block,
    "async with": leave_async_block,
}


def is_closing() -> bool:
    with contextlib.suppress(ApplicationClosedError):
        NotificationService.list_push_notifications(account_id=ACCOUNT)
        return False
    return True


@pytest.mark.parametrize("way", CLOSINGS)
def test_a_close_lets_a_call_under_way_end_and_refuses_others_meanwhile(
    stack: LocalStack, database_name: str, pool: ThreadPoolExecutor, way: str
) -> None:
    closing: Callable[[Application], Any] = CLOSINGS[way]
    application = bootstrap(settings(stack, database_name, LONG))
    with contextlib.closing(application), held_row(stack, database_name) as held:
        sending = pool.submit(send, KEY)
        eventually(held.is_waited_for)
        closed = pool.submit(lambda: asyncio.run(closing(application)))
        eventually(is_closing)
        assert held.is_waited_for()
        assert not sending.done()
        assert not closed.done()
        held.release()
        closed.result(30)
        assert [str(row["_id"]) for row in held.stored()] == [sending.result(10)]
    with pytest.raises(NotBootstrappedError):
        send("later")


@pytest.mark.parametrize("under_another_loop", [False, True], ids=["plain", "async"])
def test_a_row_that_may_be_stored_is_told_with_its_id_when_the_wait_is_over(
    stack: LocalStack, database_name: str, pool: ThreadPoolExecutor, under_another_loop: bool
) -> None:
    async def send_async() -> str:
        return await NotificationService.send_push_for_account_async(
            account_id=ACCOUNT, params=PARAMS, idempotency_key=KEY
        )

    application = bootstrap(settings(stack, database_name, SHORT))
    with contextlib.closing(application), held_row(stack, database_name) as held:
        sending = pool.submit(lambda: asyncio.run(send_async()) if under_another_loop else send(KEY))
        eventually(held.is_waited_for)
        application.close()
        with pytest.raises(NotificationUnconfirmedError) as told:
            sending.result(10)
        assert told.value.may_have_happened
        held.release()
        eventually(lambda: not held.is_waited_for())
        assert {str(row["_id"]) for row in held.stored()} <= {told.value.notification_id}


def test_a_campaign_that_may_be_recorded_is_told_with_its_id_when_the_wait_is_over(
    stack: LocalStack, database_name: str, pool: ThreadPoolExecutor
) -> None:
    application = bootstrap(settings(stack, database_name, SHORT))
    with contextlib.closing(application), held_campaign(stack, database_name) as held:
        sending = pool.submit(send_to_audience, KEY)
        eventually(held.is_waited_for)
        application.close()
        with pytest.raises(CampaignUnconfirmedError) as told:
            sending.result(10)
        assert told.value.may_have_happened
        held.release()
        eventually(lambda: not held.is_waited_for())
        assert {str(each["_id"]) for each in held.stored()} <= {told.value.campaign_id}


@dataclass
class NeverEnding:
    """Stands where Temporal is: a run that is started and never heard of."""

    started: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, **_: object) -> bool:
        self.started.set()
        await asyncio.Event().wait()
        return True


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> NeverEnding:
    run = NeverEnding()
    monkeypatch.setattr(ApplicationService, "run_worker_immediately_async", run)
    monkeypatch.setattr(composition, "run_campaign", run)
    return run


@pytest.mark.parametrize(
    ("call", "collection"), [(send_now, "push_notifications"), (send_to_audience, "campaigns")]
)
def test_a_call_whose_run_is_waited_for_gives_its_id_when_the_wait_is_over(
    stack: LocalStack,
    database_name: str,
    pool: ThreadPoolExecutor,
    run: NeverEnding,
    call: Callable[[str], str],
    collection: str,
) -> None:
    with bootstrap(settings(stack, database_name, SHORT), role=Role.OPERATOR):
        sending = pool.submit(call, KEY)
        assert run.started.wait(20)
    with MongoClient[Document](stack.mongodb_uri) as client:
        assert [str(each["_id"]) for each in client[database_name][collection].find()] == [sending.result(10)]


@pytest.mark.parametrize(
    ("call", "error", "name"),
    [
        (send_now, ImmediateSendDeferredError, "notification_id"),
        (send_to_audience, CampaignDeferredError, "campaign_id"),
    ],
)
def test_a_call_that_waits_for_temporal_is_told_that_it_is_kept_when_the_wait_is_over(
    stack: LocalStack,
    database_name: str,
    pool: ThreadPoolExecutor,
    call: Callable[[str], str],
    error: type[UnavailableError],
    name: str,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(20)
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        wanted = settings(
            stack, database_name, SHORT, TEMPORAL_ADDRESS=address, TEMPORAL_CONNECT_TIMEOUT_SECONDS="600"
        )
        with bootstrap(wanted, role=Role.OPERATOR):
            sending = pool.submit(call, KEY)
            connection, _ = silent.accept()
        with connection, pytest.raises(error) as told:
            sending.result(10)
    assert getattr(told.value, name)

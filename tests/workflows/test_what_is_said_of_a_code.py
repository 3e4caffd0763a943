"""A one-time password is in its message and nowhere else: no history, no log, no error."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import pytest
from pymongo import MongoClient
from temporalio.client import Client

from bootstrap import Application, Role, bootstrap
from local_stack.local_stack_service import LocalStack
from modules.application.errors import ServiceError
from modules.authentication.authentication_service import AuthenticationService
from modules.authentication.errors import (
    OneTimePasswordInvalidError,
    OneTimePasswordReissueLimitError,
    OneTimePasswordUnreachableError,
)
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Platform, TargetKind
from tests.support.push_rows import Document
from tests.support.push_service import settings_for
from tests.support.workflow_runs import delete_schedules, readable

# Ten digits do not turn up by chance among a history's numbers.
DIGITS = 10
FATES = ("", "UNREGISTERED", "INVALID_ARGUMENT", "503*1+retry-after=1", "lost-connection*1")


@pytest.fixture
def application(stack: LocalStack, database_name: str) -> Iterator[Application]:
    settings = settings_for(stack, database_name, {"TEMPORAL_TASK_QUEUE_PREFIX": f"test-{uuid4().hex[:12]}"})
    codes = settings.one_time_password.model_copy(update={"digits": DIGITS})
    running = bootstrap(settings.model_copy(update={"one_time_password": codes}), role=Role.WORKER)
    with closing(running):
        yield running


async def histories_of(application: Application, ids: list[str]) -> list[str]:
    settings = application.settings.temporal
    client = await Client.connect(settings.address, namespace=settings.namespace)
    handles = [client.get_workflow_handle(f"push-notification/{each}") for each in ids]
    found = [readable(await handle.fetch_history()) for handle in handles]
    await delete_schedules(client, settings.task_queue_prefix)
    return found


def test_no_history_no_log_and_no_error_holds_a_code(
    application: Application, stack: LocalStack, database_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="notification_service")
    caplog.set_level(logging.DEBUG, logger="temporalio")
    said: list[str] = []
    for number, fate in enumerate(FATES):
        account_id = f"account-{number}"
        DeviceTokenService.register_device(
            account_id=account_id,
            platform=Platform.IOS,
            kind=TargetKind.TOKEN,
            address=f"{uuid4().hex}" + (f"-sim-{fate}" if fate else ""),
        )
        try:
            ticket = AuthenticationService.send_one_time_password(account_id=account_id)
        except OneTimePasswordUnreachableError as error:
            said += [str(error), repr(error.problems)]
            continue
        said.append(repr(ticket))
        with pytest.raises(OneTimePasswordInvalidError) as invalid:
            AuthenticationService.verify_one_time_password(
                account_id=account_id, ticket_id=ticket.id, code="0" * DIGITS
            )
        with pytest.raises(OneTimePasswordReissueLimitError) as limited:
            AuthenticationService.send_one_time_password(account_id=account_id)
        errors: list[ServiceError] = [invalid.value, limited.value]
        said += [f"{error} {error.problems!r} {vars(error)}" for error in errors]

    with MongoClient[Document](stack.mongodb_uri) as client:
        rows = list(client[database_name]["push_notifications"].find())
        records = list(client[database_name]["one_time_passwords"].find())
    codes = [row["data"]["code"] for row in rows]
    assert [len(code) for code in codes] == [DIGITS] * len(FATES)
    histories = application.loop_thread.run(histories_of(application, [str(row["_id"]) for row in rows]))
    assert all("retry_in_seconds" in history for history in histories), "payloads are readable"
    logs = [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
    assert logs
    for text in (*histories, *logs, *said, *map(repr, records)):
        assert not [code for code in codes if code in text]

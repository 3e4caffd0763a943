"""The way of an immediate notification's id, traced in one call and held against docs/architecture.md."""

from __future__ import annotations

import dataclasses
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import uuid4

import pytest
from bson import ObjectId

from bootstrap import Role, bootstrap
from local_stack.local_stack_service import LocalStack
from modules.application.worker import WorkerStart
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import Platform, TargetKind
from modules.notification.notification_service import NotificationService
from modules.notification.types import PushNotificationWorkerParams, Status
from modules.notification.workers.params import DeliverParams
from tests.support.push_service import ACCOUNT, make_params, settings_for

ROOT = Path(__file__).resolve().parents[2]
MODULES = f"{ROOT / 'modules'}/"
# What a run and an activity are given.
PARAMS = (DeliverParams, PushNotificationWorkerParams, WorkerStart)
MOST_CALLS, MOST_FILES = 25, 12


class Trace:
    """Every call of a function of `modules` while it is on, with its arguments, in the order they began."""

    def __init__(self) -> None:
        self.is_on = False
        self.calls: list[tuple[str, str, list[Any]]] = []
        # A coroutine's frame is entered again after each wait; kept, so that no other frame is taken for it.
        self._seen: set[FrameType] = set()

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if not self.is_on or event != "call" or not code.co_filename.startswith(MODULES):
            return
        if frame not in self._seen:
            self._seen.add(frame)
            count = code.co_argcount + code.co_kwonlyargcount
            arguments = [frame.f_locals.get(name) for name in code.co_varnames[:count]]
            name = code.co_qualname.replace(".<locals>", "")
            self.calls.append((code.co_filename.removeprefix(MODULES), name, arguments))


@pytest.fixture
def trace() -> Iterator[Trace]:
    """Of all threads that are started while the test runs, and of its own."""
    trace = Trace()
    threading.setprofile(trace)
    sys.setprofile(trace)
    yield trace
    sys.setprofile(None)
    threading.setprofile(None)


def has_id(argument: object, notification_id: str) -> bool:
    """Whether it is the id, as text or ObjectId, alone or in a list, or in what Temporal is given."""
    if isinstance(argument, str | ObjectId):
        return str(argument) == notification_id
    if isinstance(argument, list | tuple):
        return any(has_id(each, notification_id) for each in argument)
    if isinstance(argument, PARAMS):
        fields = (getattr(argument, field.name) for field in dataclasses.fields(argument))
        return any(has_id(each, notification_id) for each in fields)
    return False


def documented_way() -> list[tuple[str, str]]:
    """File and function of each step in the numbered list, in order."""
    text = (ROOT / "docs/architecture.md").read_text()
    part = text.split("### The way of an id")[1].split("\n## ")[0]
    return re.findall(r"^\d+\. `([\w/]+\.py)` `([\w.]+)`", part, flags=re.M)


def test_an_id_goes_the_way_that_is_documented(stack: LocalStack, database_name: str, trace: Trace) -> None:
    over = {"TEMPORAL_TASK_QUEUE_PREFIX": f"test-{uuid4().hex[:12]}"}
    with bootstrap(settings_for(stack, database_name, over), role=Role.CALLER):
        DeviceTokenService.register_device(
            account_id=ACCOUNT, platform=Platform.ANDROID, kind=TargetKind.TOKEN, address=uuid4().hex
        )
        send = NotificationService.send_push_for_account
        send(account_id=ACCOUNT, params=make_params(), immediate=True)
        trace.is_on = True
        notification_id = send(account_id=ACCOUNT, params=make_params(), immediate=True)
        trace.is_on = False
        row = NotificationService.get_push_notification(notification_id=notification_id)
        assert row.status is Status.SENT
    way = [
        (file, name)
        for file, name, arguments in trace.calls
        if any(has_id(each, notification_id) for each in arguments)
    ]
    assert way == documented_way()
    assert len(way) <= MOST_CALLS
    assert len({file for file, _ in way}) <= MOST_FILES

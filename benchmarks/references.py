"""What a bulk figure is held against: a bare HTTP/2 client loop and firebase-admin, to the same simulator."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import firebase_admin
import google.auth.transport.requests as google_requests
import uvloop
from firebase_admin import credentials, messaging
from pyreqwest.client import ClientBuilder

from local_stack.local_stack_service import LocalStack

CONCURRENCY = 100
SEND_EACH_BATCH = 500
TOKEN_PADDING = "x" * 140

NewLoop = Callable[[], asyncio.AbstractEventLoop]


def bare_client_per_s(stack: LocalStack, count: int, *, loop: NewLoop = asyncio.new_event_loop) -> float:
    """Messages a second of one process that only posts bodies over HTTP/2, CONCURRENCY at a time."""
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(_bare(stack, count))


def bare_uvloop_client_per_s(stack: LocalStack, count: int) -> float:
    """The same on the event loop that the service runs on."""
    return bare_client_per_s(stack, count, loop=uvloop.new_event_loop)


async def _bare(stack: LocalStack, count: int) -> float:
    simulator = stack.simulator
    credential: Any = credentials.Certificate(str(simulator.credentials_path))
    os.environ["REQUESTS_CA_BUNDLE"] = str(simulator.ca_file)
    token = await asyncio.to_thread(_access_token, credential)
    url = f"{simulator.endpoint}/v1/projects/{credential.project_id}/messages:send"
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    builder = ClientBuilder().http2_prior_knowledge().no_proxy().timeout(timedelta(seconds=10))
    async with builder.add_root_certificate_pem(simulator.ca_file.read_bytes()).build() as client:
        numbers = iter(range(count))

        async def work() -> None:
            for number in numbers:
                body = _body(f"bare-{time.monotonic_ns()}-{number}")
                response = await client.post(url).headers(headers).body_bytes(body).build().send()
                await response.bytes()
                assert response.status == 200, response.status

        started = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
        return count / (time.perf_counter() - started)


def _body(address: str) -> bytes:
    message = {
        "token": address + TOKEN_PADDING,
        "notification": {"title": "Appointment Reminder", "body": "Your appointment is in 1 hour"},
        "data": {"type": "appointment", "appointment_id": "appt123"},
    }
    return json.dumps({"message": message}).encode()


def _access_token(credential: Any) -> str:
    google_credential = credential.get_credential()
    google_credential.refresh(google_requests.Request())
    return str(google_credential.token)


def firebase_admin_per_s(stack: LocalStack, count: int) -> float:
    """Messages a second of `firebase_admin.messaging.send_each`, in batches of its limit."""
    simulator = stack.simulator
    os.environ["REQUESTS_CA_BUNDLE"] = str(simulator.ca_file)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    # Its address is hard-coded; a benchmark may look where production code may not.
    messaging._MessagingService.FCM_URL = f"{simulator.endpoint}/v1/projects/{{0}}/messages:send"
    app = firebase_admin.initialize_app(credentials.Certificate(str(simulator.credentials_path)))
    try:
        started = time.perf_counter()
        for first in range(0, count, SEND_EACH_BATCH):
            batch = [_admin_message(f"admin-{first + number}") for number in range(SEND_EACH_BATCH)]
            assert messaging.send_each(batch, app=app).failure_count == 0
        return count / (time.perf_counter() - started)
    finally:
        firebase_admin.delete_app(app)


def _admin_message(address: str) -> messaging.Message:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return messaging.Message(
            token=address + TOKEN_PADDING,
            notification=messaging.Notification(
                title="Appointment Reminder", body="Your appointment is in 1 hour"
            ),
            data={"type": "appointment", "appointment_id": "appt123"},
        )

"""Measures the clients that could carry messages to FCM, and our own way of sending, against one server.

`python -m benchmarks.fcm_clients [--messages 6000] [--rounds 5]`; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import firebase_admin
import httpx
from firebase_admin import credentials, messaging
from google.auth.transport import requests as google_requests
from pyreqwest.client import ClientBuilder

from modules.config.types import FcmSettings
from modules.device_token.types import Platform, TargetKind
from modules.notification.internals.channels.fcm.message_builder import build_message
from modules.notification.internals.channels.fcm.message_encoder import EncodedMessage
from modules.notification.internals.fcm_service import FCMService
from modules.notification.types import PushPayload, PushTarget, SendPushParams
from simulator.client import SimulatorControl

CONCURRENCY = 100
ROOT = Path(__file__).resolve().parents[1]
PAYLOAD = PushPayload(
    notification_id="65f1c0ffee65f1c0ffee65f1",
    params=SendPushParams(
        title="Security Alert",
        body="New login from Chrome on Windows",
        data={"type": "login_alert", "session_id": "abc123"},
    ),
    ttl_seconds=600,
)


@dataclass(frozen=True)
class Server:
    """A running simulator."""

    endpoint: str
    ca_file: Path
    credentials_path: Path

    @property
    def url(self) -> str:
        return f"{self.endpoint}/v1/projects/demo-project/messages:send"

    @property
    def control(self) -> SimulatorControl:
        return SimulatorControl(self.endpoint, self.ca_file)

    @property
    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca_file))


@dataclass
class Figures:
    """One client's rounds."""

    rates: list[float] = field(default_factory=list)
    cpu_microseconds: list[float] = field(default_factory=list)
    failed: int = 0


@dataclass(frozen=True)
class Goodbyes:
    """Of messages sent while connections were closed in good order; `accepted_*` by the server's audit."""

    unanswered: int
    accepted_unanswered: int
    accepted_twice: int


# Sends the addresses, and returns how many were answered 200.
Send = Callable[[list[str]], Awaitable[int]]


@contextmanager
def running_simulator(engine: str) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "simulator", "--port", "0", "--folder", folder, "--engine", engine]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            yield Server(ready["endpoint"], Path(ready["ca_file"]), Path(ready["credentials_path"]))
        finally:
            process.terminate()
            process.wait()


def make_addresses(series: int, count: int) -> list[str]:
    """As long as registration tokens are."""
    return [f"{series}-{number}-{'x' * 140}" for number in range(count)]


def access_token(server: Server) -> str:
    credential = credentials.Certificate(str(server.credentials_path)).get_credential()
    credential.refresh(google_requests.Request())
    return str(credential.token)


async def spread(addresses: list[str], send_one: Callable[[bytes], Awaitable[int]]) -> int:
    """Send with CONCURRENCY requests under way, each body made as ours are."""
    message, waiting, answered = EncodedMessage(build_message(PAYLOAD)), iter(addresses), 0

    async def work() -> None:
        nonlocal answered
        for address in waiting:
            status = await send_one(message.body_for(TargetKind.TOKEN, address))
            answered += status == 200

    await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
    return answered


@contextmanager
def nothing_raised() -> Iterator[None]:
    """A bare client's failure is counted by what it did not answer."""
    try:
        yield
    except Exception:  # noqa: BLE001 - whatever a client raises is one more message without an answer
        return


async def with_pyreqwest(
    server: Server, headers: dict[str, str], measure: Callable[[Send], Awaitable[None]]
) -> None:
    builder = ClientBuilder().http2_prior_knowledge().no_proxy().timeout(timedelta(seconds=10))
    async with builder.add_root_certificate_pem(server.ca_file.read_bytes()).build() as client:

        async def send_one(body: bytes) -> int:
            with nothing_raised():
                response = await client.post(server.url).headers(headers).body_bytes(body).build().send()
                await response.bytes()
                return response.status
            return 0

        await measure(lambda addresses: spread(addresses, send_one))


async def with_httpx(
    server: Server, headers: dict[str, str], measure: Callable[[Send], Awaitable[None]]
) -> None:
    async with httpx.AsyncClient(http2=True, verify=server.tls, timeout=10, trust_env=False) as client:

        async def send_one(body: bytes) -> int:
            with nothing_raised():
                return (await client.post(server.url, headers=headers, content=body)).status_code
            return 0

        await measure(lambda addresses: spread(addresses, send_one))


async def with_aiohttp(
    server: Server, headers: dict[str, str], measure: Callable[[Send], Awaitable[None]]
) -> None:
    connector = aiohttp.TCPConnector(ssl=server.tls, limit=CONCURRENCY)
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as client:

        async def send_one(body: bytes) -> int:
            with nothing_raised():
                async with client.post(server.url, headers=headers, data=body) as response:
                    await response.read()
                    return response.status
            return 0

        await measure(lambda addresses: spread(addresses, send_one))


async def with_firebase_admin(
    server: Server, _: dict[str, str], measure: Callable[[Send], Awaitable[None]]
) -> None:
    # Its address is hard-coded; a benchmark may look where production code may not.
    messaging._MessagingService.FCM_URL = server.endpoint + "/v1/projects/{0}/messages:send"
    app = firebase_admin.initialize_app(credentials.Certificate(str(server.credentials_path)))
    template = vars(build_message(PAYLOAD))
    content = {name: template[name] for name in ("data", "notification", "android", "apns", "webpush")}

    async def send(addresses: list[str]) -> int:
        answered = 0
        for start in range(0, len(addresses), 500):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                messages = [
                    messaging.Message(token=token, **content) for token in addresses[start : start + 500]
                ]
            response = await asyncio.to_thread(messaging.send_each, messages, app=app)
            answered += response.success_count
        return answered

    await measure(send)
    # It closes by asyncio.run().
    await asyncio.to_thread(firebase_admin.delete_app, app)


def our_service(server: Server) -> FCMService:
    return FCMService(
        settings=FcmSettings(
            credentials_path=server.credentials_path,
            project_id=None,
            link_base=None,
            endpoint=server.endpoint,
            ca_file=server.ca_file,
            connect_timeout_seconds=5,
            request_timeout_seconds=10,
            max_concurrent_requests=CONCURRENCY,
            apps={},
        )
    )


def target(address: str) -> PushTarget:
    return PushTarget(
        device_id=address, app_id="default", kind=TargetKind.TOKEN, platform=Platform.ANDROID, address=address
    )


async def with_send_push(
    server: Server, _: dict[str, str], measure: Callable[[Send], Awaitable[None]]
) -> None:
    service = our_service(server)

    async def send(addresses: list[str]) -> int:
        sends = [
            service.send_push([target(address) for address in addresses[start : start + 500]], PAYLOAD)
            for start in range(0, len(addresses), 500)
        ]
        # Side by side, as deliveries are: one after another, each waits for the last answer of the other.
        return sum(len(result.accepted) for result in await asyncio.gather(*sends))

    await measure(send)
    await service.close()


async def with_send_push_each(
    server: Server, _: dict[str, str], measure: Callable[[Send], Awaitable[None]]
) -> None:
    service = our_service(server)

    async def send(addresses: list[str]) -> int:
        waiting, answered = iter(addresses), 0

        async def work() -> None:
            nonlocal answered
            for address in waiting:
                result = await service.send_push([target(address)], PAYLOAD)
                answered += len(result.accepted)

        await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
        return answered

    await measure(send)
    await service.close()


CLIENTS: dict[str, Any] = {
    "pyreqwest HTTP/2, bare": with_pyreqwest,
    "FCMService, 500 devices a payload": with_send_push,
    "FCMService, a payload a device": with_send_push_each,
    "aiohttp HTTP/1.1, bare": with_aiohttp,
    "httpx HTTP/2, bare": with_httpx,
    "firebase-admin send_each": with_firebase_admin,
}
SLOW = {"httpx HTTP/2, bare": 6, "firebase-admin send_each": 6}


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def measure_rates(messages: int, rounds: int) -> dict[str, Figures]:
    figures = {name: Figures() for name in CLIENTS}
    with running_simulator("granian") as server:
        os.environ["REQUESTS_CA_BUNDLE"] = str(server.ca_file)
        headers = {"authorization": f"Bearer {access_token(server)}", "content-type": "application/json"}
        # Round by round, so that what else the machine does falls on all alike.
        for number in range(rounds + 1):
            for name, client in CLIENTS.items():
                count = messages // SLOW.get(name, 1)
                addresses = make_addresses(number, count)
                await client(server, headers, measuring(figures[name], addresses, count_it=number > 0))
    return figures


def measuring(figures: Figures, addresses: list[str], *, count_it: bool) -> Callable[[Send], Awaitable[None]]:
    async def measure(send: Send) -> None:
        await send(addresses[:CONCURRENCY])
        cpu, started = cpu_seconds(), time.perf_counter()
        answered = await send(addresses)
        elapsed, used = time.perf_counter() - started, cpu_seconds() - cpu
        if count_it:
            figures.rates.append(len(addresses) / elapsed)
            figures.cpu_microseconds.append(used / len(addresses) * 1e6)
            figures.failed += len(addresses) - answered

    return measure


async def measure_goodbyes(messages: int, every: int) -> dict[str, Goodbyes]:
    """What becomes of messages when the server closes each connection in good order after so many."""
    outcome = {}
    with running_simulator("h2") as server:
        os.environ["REQUESTS_CA_BUNDLE"] = str(server.ca_file)
        headers = {"authorization": f"Bearer {access_token(server)}", "content-type": "application/json"}
        server.control.goaway_every(every)
        for series, (name, client) in enumerate(CLIENTS.items()):
            since, counts = server.control.position(), [0]

            async def measure(send: Send, series: int = series, counts: list[int] = counts) -> None:
                counts[0] = await send(make_addresses(series, messages))

            await client(server, headers, measure)
            accepted = Counter(entry["target"] for entry in server.control.audit(since))
            outcome[name] = Goodbyes(
                unanswered=messages - counts[0],
                accepted_unanswered=len(accepted) - counts[0],
                accepted_twice=accepted.total() - len(accepted),
            )
    return outcome


def report(figures: dict[str, Figures], goodbyes: dict[str, Goodbyes], every: int) -> dict[str, Any]:
    bare = statistics.median(next(iter(figures.values())).rates)
    print(f"{'client':36}{'messages/s':>12}{'of bare':>9}{'µs CPU':>8}   GOAWAY every {every}")
    rows = {}
    for name, client in figures.items():
        rate, cpu = statistics.median(client.rates), statistics.median(client.cpu_microseconds)
        ends = goodbyes[name]
        print(
            f"{name:36}{rate:12,.0f}{rate / bare:9.2f}{cpu:8.0f}   {ends.unanswered} unanswered, "
            f"{ends.accepted_unanswered} of them accepted, {ends.accepted_twice} accepted twice"
        )
        rows[name] = {
            "messages_per_s": round(rate),
            "of_bare": round(rate / bare, 3),
            "cpu_us": round(cpu),
            "failed": client.failed,
            "goaway": vars(ends),
        }
    return {"benchmark": "fcm_clients", "clients": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--goaway-every", type=int, default=500)
    options = parser.parse_args()
    figures = asyncio.run(measure_rates(options.messages, options.rounds))
    goodbyes = asyncio.run(measure_goodbyes(3000, options.goaway_every))
    print(json.dumps(report(figures, goodbyes, options.goaway_every)))


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    # pyreqwest now and then aborts while the interpreter ends, after all work (exit code 134).
    os._exit(0)

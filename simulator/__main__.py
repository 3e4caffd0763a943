"""Runs the simulator as a process: `python -m simulator --port P --folder DIR`."""

from __future__ import annotations

import argparse
import asyncio
import errno
import fcntl
import gc
import json
import os
import signal
import socket
import sys
from pathlib import Path
from types import ModuleType

from simulator import granian_engine, h2_engine
from simulator.certificates import TlsFiles, provide_certificates
from simulator.fcm_simulator import FcmSimulator
from simulator.service_accounts import PROJECTS

ENGINES: dict[str, ModuleType] = {"h2": h2_engine, "granian": granian_engine}
BACKLOG = 1024
ALLOCATIONS_BETWEEN_COLLECTIONS = 100_000


class StartError(Exception):
    """Why the simulator cannot start, in one line."""


def main() -> int:
    """Exit code 0 after SIGTERM or SIGINT, 1 when it cannot start."""
    options = _parse()
    try:
        folder = _provide_folder(options.folder)
        _lock(folder)
        listening = _listen(options.host, options.port)
        port = listening.getsockname()[1]
        endpoint = f"https://{_reachable(options.host)}:{port}"
        tls = provide_certificates(folder, options.host)
        simulator = FcmSimulator(
            folder,
            endpoint=endpoint,
            engine=options.engine,
            supported_effects=ENGINES[options.engine].SUPPORTED_EFFECTS,
            latency_ms=options.latency_ms,
        )
    except (StartError, OSError, ValueError) as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 1
    # Every accepted message stays in the audit log; looking through all of it again and again finds nothing.
    gc.set_threshold(ALLOCATIONS_BETWEEN_COLLECTIONS)
    first_account, second_account = PROJECTS.values()
    ready = {
        "ready": True,
        "port": port,
        "endpoint": endpoint,
        "ca_file": str(tls.ca),
        "credentials_path": str(folder / first_account),
        "second_credentials_path": str(folder / second_account),
        "engine": options.engine,
        "pid": os.getpid(),
    }
    asyncio.run(_serve(options.engine, simulator, listening, tls, ready))
    return 0


async def _serve(
    engine: str, simulator: FcmSimulator, listening: socket.socket, tls: TlsFiles, ready: dict[str, object]
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # The socket listens already: who connects from now on is served, if not at once.
    print(json.dumps(ready), flush=True)
    await ENGINES[engine].serve(simulator, listening, tls, stop)
    simulator.close()
    _leave(0)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="simulator", description="A stand-in for FCM; see simulator/README.md."
    )
    parser.add_argument("--port", type=_port, required=True, help="0 takes a free one")
    parser.add_argument(
        "--folder", type=Path, required=True, help="where certificates, keys and the audit go"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--engine", choices=list(ENGINES), default="h2")
    parser.add_argument("--latency-ms", type=_milliseconds, default=0, help="how long every send takes")
    return parser.parse_args()


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text} is not a port: 0 to 65535")
    return int(text)


def _milliseconds(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a number of milliseconds")
    return int(text)


def _provide_folder(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder.resolve()


def _lock(folder: Path) -> None:
    # The lock holds for as long as the descriptor is open: until the process ends, however it does.
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StartError(f"another simulator runs in {folder}: give this one a --folder of its own") from None


def _listen(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"port {port} on {host} is in use: choose another --port, 0 for a free one"
            ) from None
        raise StartError(f"cannot listen on {host} port {port}: {error.strerror}") from None
    listening.setblocking(False)
    return listening


def _reachable(host: str) -> str:
    if host in {"0.0.0.0", "::"}:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _leave(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    # What runs in granian's threads would fail on its way out, and PyO3 extensions now and then abort while
    # the interpreter ends (exit code 134).
    os._exit(code)


if __name__ == "__main__":
    _leave(main())

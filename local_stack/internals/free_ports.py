"""Chooses loopback ports that are free and stay free while a server restarts."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Mapping
from pathlib import Path

from local_stack.errors import PortTakenError
from local_stack.types import Progress, StackPorts

LOOPBACK = "127.0.0.1"
LOWEST_PORT = 10240
EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
DEFAULT_EPHEMERAL_START = 32768
ATTEMPTS = 200


def is_free(port: int) -> bool:
    """True if a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


class PortChooser:
    """Gives each server its port: the wished one, else the one it had last time, else any free one."""

    def __init__(self, wished: StackPorts, remembered: Mapping[str, int], on_progress: Progress) -> None:
        self._wished = wished
        self._remembered = remembered
        self._on_progress = on_progress
        self._given: set[int] = set()
        self._lock = threading.Lock()

    def choose(self, name: str, *, fresh: bool = False) -> int:
        """The port for `name`; `fresh` asks for another one after a server could not bind the first.

        Raises PortTakenError when the wished port is required and taken.
        """
        wished: int | None = getattr(self._wished, name, None)
        if wished is not None and not fresh and self._take(wished):
            return wished
        if wished is not None and self._wished.required:
            raise PortTakenError(
                f"port {wished}, asked for by {name}, is in use: stop what listens there or choose another"
            )
        remembered = self._remembered.get(name)
        if remembered is not None and not fresh and self._take(remembered):
            port = remembered
        else:
            port = self._any_free()
        if wished is not None and not fresh:
            self._on_progress(f"port {wished} for {name} is in use, taking {port} instead")
        return port

    def _take(self, port: int) -> bool:
        with self._lock:
            if port in self._given or not is_free(port):
                return False
            self._given.add(port)
            return True

    def _any_free(self) -> int:
        # Ports the kernel hands to outgoing connections are left out: while a server is down, a client that
        # keeps dialling its port can connect to itself there and hold it (simultaneous open, RFC 9293 3.5).
        highest = max(_ephemeral_start() - 1, LOWEST_PORT + ATTEMPTS)
        for _ in range(ATTEMPTS):
            port = random.randint(LOWEST_PORT, highest)  # noqa: S311
            if self._take(port):
                return port
        raise PortTakenError(f"no free loopback port found between {LOWEST_PORT} and {highest}")


def _ephemeral_start() -> int:
    try:
        return int(EPHEMERAL_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return DEFAULT_EPHEMERAL_START

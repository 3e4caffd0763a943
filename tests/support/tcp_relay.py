"""Passes TCP on to a port, until told to swallow everything that is sent over the connections it has."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self

from tests.support.fcm_files import LOOPBACK


class TcpRelay:
    """A path that can go dead: open connections then carry nothing any more, new ones work."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = self._listener.getsockname()[1]
        self._generation = 0
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def go_dead(self) -> None:
        self._generation += 1

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # shutdown() wakes a thread that waits in accept() or recv(), close() alone does not.
        for open_socket in [self._listener, *self._sockets]:
            try:
                open_socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join()
        for open_socket in [self._listener, *self._sockets]:
            open_socket.close()

    def _start(self, work: object, *arguments: object) -> None:
        assert callable(work)
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection((LOOPBACK, self._target_port))
            self._sockets += [client, server]
            self._start(self._pass_on, client, server, self._generation)
            self._start(self._pass_on, server, client, self._generation)

    def _pass_on(self, source: socket.socket, sink: socket.socket, generation: int) -> None:
        try:
            while data := source.recv(65_536):
                if generation == self._generation:
                    sink.sendall(data)
            if generation == self._generation:
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

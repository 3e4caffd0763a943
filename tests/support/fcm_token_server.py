"""A token server over TLS and HTTP/1.1; also keeps whatever else is posted to it."""

from __future__ import annotations

import json
import ssl
import threading
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.support.fcm_files import LOOPBACK, TlsFiles

Answer = tuple[int, bytes]


def granting(token: str, **over: Any) -> Answer:
    return 200, json.dumps(
        {"access_token": token, "expires_in": 3599, "token_type": "Bearer", **over}
    ).encode()


def refusing(error: str, status: int = 400) -> Answer:
    return status, json.dumps({"error": error, "error_description": "said the server"}).encode()


@dataclass(frozen=True)
class Posted:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(self.body.decode()))


@dataclass
class TokenServer:
    """The server, in threads of its own, as a context manager; `answer` is asked for each request."""

    tls: TlsFiles
    answer: Callable[[Posted], Answer] = field(default=lambda _: granting("token-1"))
    posted: list[Posted] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"https://{LOOPBACK}:{self._http.server_address[1]}"

    @property
    def token_uri(self) -> str:
        return f"{self.origin}/token"

    def __enter__(self) -> Self:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                posted = Posted(
                    self.path, {name.lower(): value for name, value in self.headers.items()}, body
                )
                server.posted.append(posted)
                status, content = server.answer(posted)
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                if 300 <= status < 400:
                    self.send_header("location", "/elsewhere")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Say nothing on stderr."""

        self._http = _QuietServer((LOOPBACK, 0), Handler)
        self._http.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.tls.certificate_file, self.tls.key_file)
        # The handshake is left to the handler's thread: one silent client must not block the others.
        self._http.socket = context.wrap_socket(
            self._http.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """A client that distrusts us hangs up; that is what a test may want."""

"""The protocol core: from a request to what is to be sent for it, without a socket."""

from __future__ import annotations

import re
import sys
import traceback
from pathlib import Path
from urllib.parse import unquote

from simulator.access_tokens import AccessTokens
from simulator.audit_log import AuditLog
from simulator.control_endpoint import ControlEndpoint, GoawaySetting
from simulator.exchange import Answer, Effect, Request
from simulator.fcm_errors import gateway_error
from simulator.rule_book import RuleBook
from simulator.send_endpoint import SendEndpoint
from simulator.service_accounts import provide_service_accounts
from simulator.token_endpoint import TokenEndpoint
from simulator.traffic import Traffic

AUDIT_FILE = "audit.jsonl"
_SEND_PATH = re.compile(r"/v1/projects/([^/?]+)/messages(?::|%3[Aa])send(?:\?.*)?")
_MAX_PATHS = 1000


class FcmSimulator:
    """Routes requests to the endpoints; the servers call `answer` from one thread."""

    def __init__(
        self,
        folder: Path,
        *,
        endpoint: str,
        engine: str,
        supported_effects: frozenset[Effect],
        latency_ms: int = 0,
    ) -> None:
        token_uri = f"{endpoint}/token"
        accounts = provide_service_accounts(folder, token_uri)
        tokens, rules = AccessTokens(folder), RuleBook()
        self._audit = AuditLog(folder / AUDIT_FILE)
        self.traffic = Traffic(first_request_number=self._audit.last_request_number)
        self.goaway = GoawaySetting()
        self._oauth = TokenEndpoint(
            accounts=accounts, audience=token_uri, tokens=tokens, traffic=self.traffic
        )
        self._sends = SendEndpoint(
            audit=self._audit,
            rules=rules,
            tokens=tokens,
            traffic=self.traffic,
            supported_effects=supported_effects,
            latency_ms=latency_ms,
        )
        self._control = ControlEndpoint(
            audit=self._audit,
            rules=rules,
            sends=self._sends,
            oauth=self._oauth,
            tokens=tokens,
            traffic=self.traffic,
            goaway=self.goaway,
            engine=engine,
            supported_effects=supported_effects,
        )
        self._projects: dict[str, str] = {}

    def answer(self, request: Request) -> Answer:
        """Never raises: a fault of the simulator itself is a 500 that says so, its traceback on stderr."""
        try:
            return self._route(request)
        except Exception:  # noqa: BLE001
            traceback.print_exc(file=sys.stderr)
            return gateway_error(500, message="simulator: internal fault, see its stderr")

    def close(self) -> None:
        self._audit.close()

    def _route(self, request: Request) -> Answer:
        if request.method == "POST":
            project = self._projects.get(request.path) or self._project_of(request.path)
            if project is not None:
                return self._sends.answer(project, request)
            if request.path.partition("?")[0] == "/token":
                return self._oauth.answer(request)
        if request.path.startswith("/control/"):
            return self._control.answer(request)
        return gateway_error(404)

    def _project_of(self, path: str) -> str | None:
        match = _SEND_PATH.fullmatch(path)
        if match is None:
            return None
        if len(self._projects) < _MAX_PATHS:
            self._projects[path] = unquote(match[1])
        return unquote(match[1])

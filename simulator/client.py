"""Steers and questions a running simulator from tests, the demo and benchmarks; plain and synchronous."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypedDict, cast
from urllib.parse import urlencode, urlsplit

from simulator.audit_log import AuditEntry
from simulator.exchange import Effect
from simulator.token_endpoint import EXPIRES_IN_SECONDS, TokenMode
from simulator.traffic import Capture, Refusal

PAGE = 10_000
TIMEOUT_SECONDS = 10.0


class SimulatorControlError(Exception):
    """The simulator did not do what it was asked; `status` is its HTTP status, the text its reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status


class Stats(TypedDict):
    """Counts: of the audit log as a whole, and, from `requests` on, since the simulator's process started.

    `last` is the sequence of the last audit entry and `last_refusal` that of the last refusal: what to give
    as `since` to read only what comes after.
    """

    accepted: int
    validated: int
    by_project: dict[str, int]
    by_kind: dict[str, int]
    last: int
    requests: int
    answers: dict[str, int]
    refused: dict[str, int]
    effects: dict[str, int]
    protocols: dict[str, int]
    connections: dict[str, int]
    goaways: int
    tokens_issued: int
    tokens_refused: int
    last_refusal: int


class SimulatorControl:
    """Each call opens its own connection, so one object outlives restarts of the simulator.

    Every method raises SimulatorControlError when the simulator refuses, 501 for what the engine cannot do,
    and OSError when it cannot be reached.
    """

    def __init__(self, endpoint: str, ca_file: Path | str) -> None:
        self._address = urlsplit(endpoint)
        self._tls = ssl.create_default_context(cafile=str(ca_file))

    def add_rule(
        self,
        *,
        token: str | None = None,
        prefix: str | None = None,
        project: str | None = None,
        error_code: str | None = None,
        http_status: int | None = None,
        effect: Effect | str = Effect.NONE,
        retry_after_seconds: int | None = None,
        delay_ms: int = 0,
        quota: str = "project",
        accepted: bool | None = None,
        times: int | None = None,
        page_kib: int | None = None,
    ) -> int:
        """Return the rule's id. Without token, prefix and project it is for every send; see README.md."""
        match: dict[str, Any] = {"token": token, "prefix": prefix, "project": project}
        rule = {
            "match": {name: value for name, value in match.items() if value is not None} or {"any": True},
            "error_code": error_code,
            "http_status": http_status,
            "effect": effect,
            "retry_after_seconds": retry_after_seconds,
            "delay_ms": delay_ms,
            "quota": quota,
            "accepted": accepted,
            "times": times,
            "page_kib": page_kib,
        }
        return cast(int, self._call("POST", "rules", rule)["id"])

    def rules(self) -> list[dict[str, Any]]:
        """Each rule with `id`, `answer`, `effect`, `matched` and `remaining`."""
        return cast(list[dict[str, Any]], self._call("GET", "rules")["rules"])

    def clear_rules(self) -> None:
        self._call("DELETE", "rules")

    def remove_rule(self, rule_id: int) -> None:
        self._call("DELETE", f"rules?id={rule_id}")

    def audit(self, since: int = 0, *, include_validated: bool = False) -> list[AuditEntry]:
        """Everything accepted after the entry with the sequence `since`, in order; validate_only left out."""
        return list(self._audit_pages(since, include_validated))

    def position(self) -> int:
        """The sequence of the last audit entry: a `since` for what comes after now."""
        return self.stats()["last"]

    def stats(self) -> Stats:
        return cast(Stats, self._call("GET", "audit/stats"))

    def refusals(self, since: int = 0) -> list[Refusal]:
        """The latest sends that were not accepted, whose sequence is above `since`."""
        return cast(list[Refusal], self._call("GET", f"refusals?since={since}")["refusals"])

    def goaway_every(self, requests: int | None) -> None:
        """Close each connection gracefully after so many sends on it; None ends that."""
        self._call("POST", "goaway-every", {"requests": requests})

    def set_latency(self, latency_ms: int) -> None:
        """How long every send takes at least."""
        self._call("POST", "latency", {"latency_ms": latency_ms})

    def set_oauth(
        self,
        mode: TokenMode | str = TokenMode.OK,
        *,
        delay_ms: int = 0,
        expires_in_seconds: int = EXPIRES_IN_SECONDS,
        project: str | None = None,
        times: int | None = None,
    ) -> None:
        """How the token endpoint behaves from now on; `invalid_grant` is a key that was revoked."""
        behaviour = {"mode": mode, "delay_ms": delay_ms, "expires_in_seconds": expires_in_seconds}
        self._call("POST", "oauth", {**behaviour, "project": project, "times": times})

    def revoke_tokens(self) -> None:
        """No access token issued so far is taken any more."""
        self._call("POST", "oauth/revoke", {})

    def register_targets(self, project: str, targets: Iterable[str]) -> None:
        """Sends to these targets from another project are a SENDER_ID_MISMATCH."""
        self._call("POST", "registrations", {"project": project, "targets": list(targets)})

    def keep_captures(self, keep: int) -> None:
        """Keep the latest `keep` sends as they came in; 0 keeps none. Drops what was kept."""
        self._call("POST", "captures", {"keep": keep})

    def captures(self) -> list[Capture]:
        """The sends that were kept, oldest first."""
        return cast(list[Capture], self._call("GET", "captures")["captures"])

    def reset(self) -> None:
        """Back to how it started: no rules, registrations or captures. The audit and the counts stay."""
        self._call("POST", "reset", {})

    def health(self) -> dict[str, Any]:
        """The engine's name and the effects it can do."""
        return self._call("GET", "health")

    def _audit_pages(self, since: int, include_validated: bool) -> Iterator[AuditEntry]:
        while True:
            query = {"since": since, "limit": PAGE, "include_validated": int(include_validated)}
            entries = self._call("GET", f"audit?{urlencode(query)}")["entries"]
            yield from entries
            if len(entries) < PAGE:
                return
            since = entries[-1]["sequence"]

    def _call(self, method: str, path: str, content: object = None) -> dict[str, Any]:
        connection = http.client.HTTPSConnection(
            self._address.hostname or "", self._address.port, timeout=TIMEOUT_SECONDS, context=self._tls
        )
        with closing(connection):
            body = None if content is None else json.dumps(content).encode()
            connection.request(method, f"/control/{path}", body, {"content-type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
        if response.status != 200:
            try:
                reason = json.loads(answer)["error"]
            except (ValueError, KeyError, TypeError):
                reason = answer.decode(errors="replace")[:200]
            raise SimulatorControlError(response.status, str(reason))
        return cast(dict[str, Any], json.loads(answer))

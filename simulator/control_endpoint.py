"""The endpoints under /control/ that tests, the demo and benchmarks steer and question the simulator with."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, ValidationError

from simulator.access_tokens import AccessTokens
from simulator.audit_log import AuditLog
from simulator.control_requests import (
    CapturesBody,
    GoawayBody,
    LatencyBody,
    OauthBody,
    RegistrationsBody,
    RuleBody,
)
from simulator.exchange import JSON_HEADERS, Answer, Effect, Request, json_answer
from simulator.instructions import InvalidInstructionError
from simulator.rule_book import RuleBook
from simulator.send_endpoint import SendEndpoint
from simulator.token_endpoint import TokenBehaviour, TokenEndpoint
from simulator.traffic import Traffic

DEFAULT_AUDIT_LIMIT = 10_000

_Body = TypeVar("_Body", bound=BaseModel)


class _RefusedError(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.answer = json_answer(status, {"error": reason})


@dataclass(slots=True)
class GoawaySetting:
    """After how many sends each HTTP/2 connection is closed gracefully; None for never."""

    every: int | None = None


class ControlEndpoint:
    """Answers loopback callers only; nothing here needs authorization."""

    def __init__(
        self,
        *,
        audit: AuditLog,
        rules: RuleBook,
        sends: SendEndpoint,
        oauth: TokenEndpoint,
        tokens: AccessTokens,
        traffic: Traffic,
        goaway: GoawaySetting,
        engine: str,
        supported_effects: frozenset[Effect],
    ) -> None:
        self._audit = audit
        self._rules = rules
        self._sends = sends
        self._oauth = oauth
        self._tokens = tokens
        self._traffic = traffic
        self._goaway = goaway
        self._engine = engine
        self._supported_effects = supported_effects
        self._first_latency_ms = sends.latency_ms
        self._routes: dict[tuple[str, str], Callable[[Request], Answer]] = {
            ("GET", "/control/health"): self._health,
            ("POST", "/control/rules"): self._add_rule,
            ("GET", "/control/rules"): self._list_rules,
            ("DELETE", "/control/rules"): self._delete_rules,
            ("GET", "/control/audit"): self._list_audit,
            ("GET", "/control/audit/stats"): self._stats,
            ("GET", "/control/refusals"): self._list_refusals,
            ("POST", "/control/goaway-every"): self._set_goaway,
            ("POST", "/control/latency"): self._set_latency,
            ("POST", "/control/oauth"): self._set_oauth,
            ("POST", "/control/oauth/revoke"): self._revoke,
            ("POST", "/control/registrations"): self._register,
            ("POST", "/control/captures"): self._keep_captures,
            ("GET", "/control/captures"): self._list_captures,
            ("POST", "/control/reset"): self._reset,
        }

    def answer(self, request: Request) -> Answer:
        if not _is_loopback(request.client):
            return json_answer(403, {"error": "the control endpoint answers loopback callers only"})
        path = urlsplit(request.path).path
        route = self._routes.get((request.method, path))
        if route is None:
            return json_answer(404, {"error": f"no control endpoint {request.method} {path}"})
        try:
            return route(request)
        except _RefusedError as refused:
            return refused.answer
        except InvalidInstructionError as error:
            return json_answer(400, {"error": str(error)})

    def _health(self, _request: Request) -> Answer:
        return json_answer(200, {"engine": self._engine, "effects": sorted(self._supported_effects)})

    def _add_rule(self, request: Request) -> Answer:
        body = _read(RuleBody, request)
        self._require(body.effect)
        rule_id = self._rules.add(body.match.as_match(), body.as_instruction())
        return json_answer(200, {"id": rule_id})

    def _list_rules(self, _request: Request) -> Answer:
        return json_answer(200, {"rules": list(self._rules.describe())})

    def _delete_rules(self, request: Request) -> Answer:
        rule_id = _number(request, "id", None)
        if rule_id is None:
            self._rules.clear_rules()
        elif not self._rules.remove(rule_id):
            raise _RefusedError(404, f"there is no rule {rule_id}")
        return json_answer(200, {})

    def _list_audit(self, request: Request) -> Answer:
        since = _number(request, "since", 0) or 0
        limit = _number(request, "limit", DEFAULT_AUDIT_LIMIT) or 0
        include = _number(request, "include_validated", 0) == 1
        lines = self._audit.lines(since=since, limit=limit, include_validated=include)
        body = b'{"entries":[' + b",".join(lines) + b'],"last":%d}\n' % len(self._audit)
        return Answer(200, body, JSON_HEADERS)

    def _stats(self, _request: Request) -> Answer:
        content = {
            "accepted": self._audit.accepted,
            "validated": self._audit.validated,
            "by_project": dict(self._audit.accepted_by_project),
            "by_kind": dict(self._audit.accepted_by_kind),
            "last": len(self._audit),
        }
        return json_answer(200, content | self._traffic.counts())

    def _list_refusals(self, request: Request) -> Answer:
        since = _number(request, "since", 0) or 0
        return json_answer(200, {"refusals": list(self._traffic.refusals(since=since))})

    def _set_goaway(self, request: Request) -> Answer:
        body = _read(GoawayBody, request)
        self._require(Effect.GOAWAY)
        self._goaway.every = body.requests
        return json_answer(200, {})

    def _set_latency(self, request: Request) -> Answer:
        self._sends.latency_ms = _read(LatencyBody, request).latency_ms
        return json_answer(200, {})

    def _set_oauth(self, request: Request) -> Answer:
        self._oauth.behave(_read(OauthBody, request).as_behaviour())
        return json_answer(200, {})

    def _revoke(self, _request: Request) -> Answer:
        self._tokens.revoke_all()
        return json_answer(200, {})

    def _register(self, request: Request) -> Answer:
        body = _read(RegistrationsBody, request)
        self._rules.register(body.project, body.targets)
        return json_answer(200, {})

    def _keep_captures(self, request: Request) -> Answer:
        self._traffic.keep_captures(_read(CapturesBody, request).keep)
        return json_answer(200, {})

    def _list_captures(self, _request: Request) -> Answer:
        return json_answer(200, {"captures": self._traffic.captures()})

    def _reset(self, _request: Request) -> Answer:
        self._rules.reset()
        self._goaway.every = None
        self._sends.latency_ms = self._first_latency_ms
        self._oauth.behave(TokenBehaviour())
        self._traffic.keep_captures(0)
        return json_answer(200, {})

    def _require(self, effect: Effect) -> None:
        if effect is not Effect.NONE and effect not in self._supported_effects:
            known = ", ".join(sorted(self._supported_effects))
            raise _RefusedError(501, f"the {self._engine} engine cannot {effect.value}; it can {known}")


def _read(kind: type[_Body], request: Request) -> _Body:
    try:
        return kind.model_validate_json(request.body)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}" for one in error.errors()]
        raise _RefusedError(400, "; ".join(problems)) from None


def _number(request: Request, name: str, default: int | None) -> int | None:
    values: Any = parse_qs(urlsplit(request.path).query).get(name)
    if values is None:
        return default
    if not values[-1].isdecimal():
        raise _RefusedError(400, f"{name} must be a number")
    return int(values[-1])


def _is_loopback(client: str) -> bool:
    try:
        return ipaddress.ip_address(client).is_loopback
    except ValueError:
        return False

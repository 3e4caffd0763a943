"""POST /v1/projects/{project}/messages:send: checks a request as FCM does, and accepts it or does as told."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from simulator.access_tokens import AccessTokens
from simulator.audit_log import AuditEntry, AuditLog, MessageMarks
from simulator.exchange import MAX_BODY_BYTES, UNPROCESSED, Answer, Effect, Request
from simulator.fcm_errors import fcm_error, gateway_error
from simulator.instructions import Instruction, InvalidInstructionError
from simulator.rule_book import RuleBook
from simulator.send_request import RefusedRequestError, SendRequest, parse_send_request
from simulator.traffic import Traffic, utc_now

_PLAIN = Instruction()


class SendEndpoint:
    """Needs no socket: `answer` is a function of the request, the rules and the clock."""

    def __init__(
        self,
        *,
        audit: AuditLog,
        rules: RuleBook,
        tokens: AccessTokens,
        traffic: Traffic,
        supported_effects: frozenset[Effect],
        latency_ms: int = 0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._audit = audit
        self._rules = rules
        self._tokens = tokens
        self._traffic = traffic
        self._supported_effects = supported_effects
        self._now = now
        self.latency_ms = latency_ms

    def answer(self, project: str, request: Request) -> Answer:
        """Whatever is accepted is in the audit log when this returns."""
        number = self._traffic.begin_send(request)
        refused = self._check_caller(project, request)
        if refused is not None:
            return self._refuse(number, project, "", f"HTTP_{refused.status}", refused)
        try:
            send = parse_send_request(request.body)
        except RefusedRequestError as error:
            return self._refuse(number, project, error.target, "INVALID_ARGUMENT", error.answer)
        try:
            instruction = self._rules.instruction_for(project, send.target) or _PLAIN
        except InvalidInstructionError as error:
            answer = gateway_error(400, message=f"simulator: {error}")
            return self._refuse(number, project, send.target, "HTTP_400", answer)
        if instruction.effect is not Effect.NONE and instruction.effect not in self._supported_effects:
            answer = gateway_error(501, message=f"simulator: this engine cannot {instruction.effect.value}")
            return self._refuse(number, project, send.target, "HTTP_501", answer)
        return self._follow(number, project, send, instruction)

    def _check_caller(self, project: str, request: Request) -> Answer | None:
        scheme, _, token = (request.headers.get("authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return gateway_error(401, reason="CREDENTIALS_MISSING")
        owner = self._tokens.project_of(token.strip(), now=self._now())
        if owner is None:
            return gateway_error(401)
        if owner != project:
            message = (
                "Permission 'cloudmessaging.messages.create' denied on resource"
                f" '//cloudresourcemanager.googleapis.com/projects/{project}' (or it may not exist)."
            )
            return gateway_error(403, message=message)
        return gateway_error(413) if len(request.body) > MAX_BODY_BYTES else None

    def _refuse(self, number: int, project: str, target: str, name: str, answer: Answer) -> Answer:
        self._traffic.note_answer(name)
        self._traffic.note_refusal(number=number, project=project, target=target, answer=name)
        return replace(answer, is_send=True, delay_seconds=self.latency_ms / 1000)

    def _follow(self, number: int, project: str, send: SendRequest, instruction: Instruction) -> Answer:
        self._traffic.note_answer(instruction.name, instruction.effect)
        message_id = ""
        if instruction.is_accepted:
            message_id = self._accept(number, project, send)
        else:
            self._traffic.note_refusal(
                number=number, project=project, target=send.target, answer=instruction.name
            )
        if instruction.effect in UNPROCESSED:
            return Answer(0, b"", effect=instruction.effect, is_send=True)
        answer = _answer_of(instruction, project, send, message_id)
        delay_ms = self.latency_ms + instruction.delay_ms
        return Answer(answer.status, answer.body, answer.headers, delay_ms / 1000, instruction.effect, True)

    def _accept(self, number: int, project: str, send: SendRequest) -> str:
        name = (
            "fake_message_id" if send.validate_only else f"0:{time.time_ns() // 1000}%{secrets.token_hex(8)}"
        )
        message_id = f"projects/{project}/messages/{name}"
        entry: AuditEntry = {
            "sequence": len(self._audit) + 1,
            "at": utc_now(),
            "request_number": number,
            "message_id": message_id,
            "project": project,
            "target_kind": send.kind,
            "target": send.target,
            "validate_only": send.validate_only,
            "size_bytes": send.size_bytes,
            **_marks_of(send.message),
        }
        self._audit.append(entry)
        return message_id


def _answer_of(instruction: Instruction, project: str, send: SendRequest, message_id: str) -> Answer:
    if instruction.error_code is not None:
        return fcm_error(
            instruction.error_code,
            project=project,
            kind=send.kind,
            target=send.target,
            quota=instruction.quota,
            retry_after_seconds=instruction.retry_after_seconds,
        )
    if instruction.http_status is not None:
        return gateway_error(
            instruction.http_status,
            retry_after_seconds=instruction.retry_after_seconds,
            page_kib=instruction.page_kib,
        )
    return Answer(200, f'{{\n  "name": {json.dumps(message_id)}\n}}\n'.encode())


def _marks_of(message: Mapping[str, Any]) -> MessageMarks:
    android, apns, webpush = (message.get(platform) or {} for platform in ("android", "apns", "webpush"))
    shown = android.get("notification") or {}
    web = webpush.get("notification") or {}
    title = (message.get("notification") or {}).get("title") or shown.get("title") or web.get("title")
    headers = {name.lower(): value for name, value in (apns.get("headers") or {}).items()}
    tag = web.get("tag")
    return {
        "title": title if isinstance(title, str) else None,
        "android_tag": shown.get("tag"),
        "android_collapse_key": android.get("collapse_key") or android.get("collapseKey"),
        "apns_collapse_id": headers.get("apns-collapse-id"),
        "webpush_tag": tag if isinstance(tag, str) else None,
        "ttl": android.get("ttl"),
    }

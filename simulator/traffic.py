"""Counts everything that came in, and remembers what was not accepted."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypedDict

from simulator.exchange import Effect, Request

MAX_REFUSALS = 100_000


class Refusal(TypedDict):
    """One send that was not accepted; `answer` is an error code, `HTTP_503` or the like, or an effect."""

    sequence: int
    at: str
    request_number: int
    project: str
    target: str
    answer: str


class Capture(TypedDict):
    """One request to messages:send as it came in. Authorization is left out."""

    request_number: int
    protocol: str
    path: str
    headers: dict[str, str]
    body: str


_CAPTURED_HEADERS = (
    "content-type",
    "user-agent",
    "x-firebase-client",
    "x-goog-api-format-version",
    "x-goog-api-client",
)


@dataclass(slots=True)
class Traffic:
    """Counts since this process started, the latest refusals, and captured requests if any are wished for."""

    requests: int = 0
    first_request_number: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)
    protocols: Counter[str] = field(default_factory=Counter)
    connections: Counter[str] = field(default_factory=Counter)
    goaways: int = 0
    tokens_issued: int = 0
    tokens_refused: int = 0
    _refusals: deque[Refusal] = field(default_factory=lambda: deque(maxlen=MAX_REFUSALS))
    _refusal_count: int = 0
    _captures: deque[Capture] = field(default_factory=lambda: deque(maxlen=0))

    def begin_send(self, request: Request) -> int:
        """Count a request to messages:send; returns its number."""
        self.requests += 1
        number = self.first_request_number + self.requests
        self.protocols[request.protocol] += 1
        if self._captures.maxlen:
            headers = {name: request.headers.get(name) for name in _CAPTURED_HEADERS}
            self._captures.append(
                Capture(
                    request_number=number,
                    protocol=request.protocol,
                    path=request.path,
                    headers={name: value for name, value in headers.items() if value is not None},
                    body=request.body.decode(errors="replace"),
                )
            )
        return number

    def note_answer(self, answer: str, effect: Effect = Effect.NONE) -> None:
        """Count what a send came to, accepted or not."""
        self.answers[answer] += 1
        if effect is not Effect.NONE:
            self.effects[effect.value] += 1

    def note_refusal(self, *, number: int, project: str, target: str, answer: str) -> None:
        """Remember a send that was not accepted."""
        self.refused[answer] += 1
        self._refusal_count += 1
        self._refusals.append(
            Refusal(
                sequence=self._refusal_count,
                at=utc_now(),
                request_number=number,
                project=project,
                target=target,
                answer=answer,
            )
        )

    def refusals(self, *, since: int) -> Iterable[Refusal]:
        """The remembered ones whose sequence is above `since`."""
        return [refusal for refusal in self._refusals if refusal["sequence"] > since]

    def keep_captures(self, count: int) -> None:
        """Capture the latest `count` requests from now on; 0 captures none. Drops what was captured."""
        self._captures = deque(maxlen=count)

    def captures(self) -> list[Capture]:
        return list(self._captures)

    def counts(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "answers": dict(self.answers),
            "refused": dict(self.refused),
            "effects": dict(self.effects),
            "protocols": dict(self.protocols),
            "connections": dict(self.connections),
            "goaways": self.goaways,
            "tokens_issued": self.tokens_issued,
            "tokens_refused": self.tokens_refused,
            "last_refusal": self._refusal_count,
        }


def utc_now() -> str:
    """The time as the audit and the refusals have it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")

"""One request and what is to be done about it: all that the servers and the protocol core share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

# Nothing that FCM or the token endpoint accepts comes near this.
MAX_BODY_BYTES = 1_048_576

JSON_HEADERS = (("content-type", "application/json; charset=UTF-8"),)
HTML_HEADERS = (("content-type", "text/html; charset=UTF-8"),)


class Effect(StrEnum):
    """What becomes of an answer on its way. See README.md for which of them leave the message accepted."""

    NONE = "none"
    LOST_RESPONSE = "lost_response"
    LOST_CONNECTION = "lost_connection"
    GOAWAY = "goaway"
    GOAWAY_UNPROCESSED = "goaway_unprocessed"
    RESET = "reset"
    DRIP = "drip"
    HANG = "hang"


# The request is handed back unread: nothing is accepted, and the client may send it again.
UNPROCESSED = frozenset({Effect.RESET, Effect.GOAWAY_UNPROCESSED})
# The client never learns the answer.
ANSWER_HIDDEN = frozenset({Effect.LOST_RESPONSE, Effect.LOST_CONNECTION, Effect.HANG})


class HeaderLookup(Protocol):
    """Header names in lower case, as HTTP/2 has them."""

    def get(self, key: str, default: Any = None, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Request:
    """One whole request; `path` with its query, `client` the peer's address, `protocol` as `HTTP/2`."""

    method: str
    path: str
    headers: HeaderLookup
    body: bytes
    protocol: str
    client: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send and how. With an effect of UNPROCESSED, only the effect counts.

    `is_send` marks answers of messages:send, which are what a GOAWAY every n requests counts.
    """

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = JSON_HEADERS
    delay_seconds: float = 0.0
    effect: Effect = Effect.NONE
    is_send: bool = False


def json_answer(status: int, content: Mapping[str, Any]) -> Answer:
    """The content as Google writes it: indented by two, with a newline at the end."""
    return Answer(status, json.dumps(content, indent=2).encode() + b"\n")

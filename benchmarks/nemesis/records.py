"""What a run leaves behind, as the checker reads it: calls with their answers, rows, audit, pauses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from modules.campaign.types import Campaign
from simulator.audit_log import AuditEntry

Document = dict[str, Any]


class What(StrEnum):
    """What a caller asked for."""

    SEND = "send"
    CANCEL_ROW = "cancel_row"
    CAMPAIGN = "campaign"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    REGISTER = "register"
    LOG_OUT = "log_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call and its answer; times are seconds of the host's clock.

    `ended_at` None: the caller did not live to hear the answer. `answered_id` was returned, or came with the
    error. `subject` is the id a command is about, `key` an idempotency or campaign key.
    """

    id: str
    what: What
    begun_at: float
    ended_at: float | None = None
    answered_id: str | None = None
    error: str | None = None
    may_have_happened: bool = False
    account_id: str | None = None
    address: str | None = None
    subject: str | None = None
    key: str | None = None
    audience: tuple[str, ...] = ()

    @property
    def succeeded(self) -> bool:
        return self.ended_at is not None and self.error is None

    @property
    def was_refused(self) -> bool:
        """It raised, with no id and no word that it may have happened."""
        return self.error is not None and self.answered_id is None and not self.may_have_happened


@dataclass(frozen=True, slots=True, kw_only=True)
class StandStill:
    """A time during which a process that sends was stopped (SIGSTOP), in seconds of the host's clock."""

    process: str
    began_at: float
    ended_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfEnd:
    """A process that ended though nobody told it to; `last_line` is of its log."""

    process: str
    at: float
    exit_code: int
    last_line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Everything a run is judged by. `texts` are logs and histories by name, `secrets` what none may hold."""

    rows: Sequence[Document]
    devices: Sequence[Document]
    audit: Sequence[AuditEntry]
    calls: Sequence[Call]
    campaigns: Sequence[Campaign] = ()
    stand_stills: Sequence[StandStill] = ()
    self_ends: Sequence[SelfEnd] = ()
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: Sequence[str] = field(default=(), repr=False)


def begin_line(call: Call) -> str:
    """What a caller writes before it calls."""
    said = {
        "call": call.id,
        "what": call.what.value,
        "begun_at": call.begun_at,
        "account_id": call.account_id,
        "address": call.address,
        "subject": call.subject,
        "key": call.key,
        "audience": list(call.audience) or None,
    }
    return json.dumps({name: word for name, word in said.items() if word is not None})


def end_line(
    call_id: str,
    at: float,
    *,
    answered_id: str | None = None,
    error: str | None = None,
    may_have_happened: bool = False,
) -> str:
    """What a caller writes when it has an answer; `error` is the error's code."""
    said = {"call": call_id, "ended_at": at, "answered_id": answered_id, "error": error}
    return json.dumps({**said, "may_have_happened": may_have_happened})


def read_calls(lines: Iterable[str]) -> list[Call]:
    """The calls of any number of callers in the order in which they began; half a last line is left out."""
    begun: dict[str, dict[str, Any]] = {}
    ended: dict[str, dict[str, Any]] = {}
    for line in lines:
        try:
            said = json.loads(line)
        except ValueError:
            continue
        call_id = said.pop("call")
        (begun if "what" in said else ended)[call_id] = said
    calls = []
    for call_id, said in begun.items():
        said["what"] = What(said["what"])
        said["audience"] = tuple(said.get("audience", ()))
        calls.append(Call(id=call_id, **said, **ended.get(call_id, {})))
    return sorted(calls, key=lambda call: call.begun_at)


def seconds_of(moment: str | datetime) -> float:
    """An audit's `at`, or a time of a record, in seconds of the host's clock."""
    return (datetime.fromisoformat(moment) if isinstance(moment, str) else moment).timestamp()

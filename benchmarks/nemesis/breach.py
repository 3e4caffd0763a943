"""One way in which a run broke a promise, and how it is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from benchmarks.nemesis.records import Call, Document, Records


class Kind(StrEnum):
    """Which promise was broken."""

    NOT_FINAL = "not_final"
    MISCOUNTED = "miscounted"
    NO_ROW = "no_row"
    REPEATED = "repeated"
    OTHER_CONTENT = "other_content"
    AFTER_EXPIRY = "after_expiry"
    OUTLIVES_EXPIRY = "outlives_expiry"
    AFTER_CANCEL = "after_cancel"
    WHILE_PAUSED = "while_paused"
    DEVICE_HAD_LEFT = "device_had_left"
    ID_LOST = "id_lost"
    REFUSED_AND_SENT = "refused_and_sent"
    KEY_OF_TWO = "key_of_two"
    CAMPAIGN = "campaign"
    LEAK = "leak"
    NOT_ASKED_FOR = "not_asked_for"
    ENDED_ITSELF = "ended_itself"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """`what` is a sentence; `row_id` and `call_ids` say whose story explains it."""

    kind: Kind
    what: str
    row_id: str | None = None
    call_ids: tuple[str, ...] = ()


def clock(seconds: float) -> str:
    """A moment as the logs have it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S.%f")[:-3]


def tell(breach: Breach, records: Records) -> Iterator[str]:
    """The breach with its row's record and events, the audit of the row, and the calls about it."""
    yield f"BREACH {breach.kind}: {breach.what}"
    row = next((row for row in records.rows if str(row["_id"]) == breach.row_id), None)
    calls = {call.id: call for call in records.calls}
    about = [calls[call_id] for call_id in breach.call_ids if call_id in calls]
    if row is not None:
        yield from (f"    {line}" for line in _of_row(row))
        about += [call for call in records.calls if call.id == row.get("correlation_id")]
    for entry in records.audit:
        if breach.row_id is not None and entry["android_tag"] == breach.row_id:
            yield f"    accepted {entry['at']} {entry['target']} ttl {entry['ttl']}"
    for call in dict.fromkeys(about):
        yield f"    {_of_call(call)}"


def _of_row(row: Document) -> Iterator[str]:
    shown = ["account_id", "status", "active", "priority", "outcome_policy", "expires_at", "campaign"]
    shown += ["fence", "lost_claims", "retry_count", "due_at", "claim", "error_type", "devices"]
    yield "row " + " ".join(f"{name}={row[name]}" for name in shown if row.get(name) not in (None, []))
    for event in row.get("events", []):
        yield f"{event['at'].strftime('%H:%M:%S.%f')[:-3]} {event['event']}: {event['detail']}"


def _of_call(call: Call) -> str:
    ended = "not heard of" if call.ended_at is None else clock(call.ended_at)
    answer = call.error or "ok"
    if call.may_have_happened:
        answer += " (may have happened)"
    about = " ".join(word for word in (call.account_id, call.address, call.subject, call.key) if word)
    return (
        f"call {call.id} {call.what} {about}: {clock(call.begun_at)} to {ended}, {answer} {call.answered_id}"
    )

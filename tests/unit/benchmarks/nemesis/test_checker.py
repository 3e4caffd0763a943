"""The checker sees each kind of breach that is planted, and none where all is well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from bson import ObjectId

from benchmarks.nemesis.breach import Kind, tell
from benchmarks.nemesis.checker import Verdict, check
from benchmarks.nemesis.records import (
    Call,
    Document,
    Records,
    SelfEnd,
    StandStill,
    What,
    begin_line,
    end_line,
    read_calls,
)
from modules.campaign.types import Campaign, CampaignState
from simulator.audit_log import AuditEntry
from tests.support.push_rows import make_document

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
START = NOW.timestamp()
DEVICE_ID, ADDRESS, ACCOUNT = ObjectId(), "device-1", "account-1"
CAMPAIGN_ID = ObjectId()


def make_row(**over: Any) -> Document:
    accepted = {"device_id": str(DEVICE_ID), "outcome": "accepted", "unknown_attempts": 0, "attempts": 1}
    row = make_document(
        account_id=ACCOUNT,
        status="sent",
        title="Title",
        devices=[accepted],
        lost_claims=0,
        correlation_id="send-1",
        events=[{"at": NOW, "event": "attempted", "detail": "1 device(s) accepted"}],
    )
    return {**row, **over}


def make_audit(row: Document, after_seconds: float = 1.0, **over: Any) -> AuditEntry:
    entry: dict[str, Any] = {
        "at": (NOW + timedelta(seconds=after_seconds)).isoformat(),
        "target": ADDRESS,
        "title": row["title"],
        "android_tag": str(row["_id"]),
        "ttl": None,
    }
    return cast(AuditEntry, {**entry, **over})


def make_call(call_id: str, what: What, begun: float, ended: float | None = None, **over: Any) -> Call:
    ended_at = None if ended is None else START + ended
    return Call(id=call_id, what=what, begun_at=START + begun, ended_at=ended_at, **over)


def sound(**over: Any) -> Records:
    """One send that went well, on a device that was there before."""
    row = make_row()
    records = Records(
        rows=[row],
        devices=[{"_id": DEVICE_ID, "address": ADDRESS, "account_id": ACCOUNT}],
        audit=[make_audit(row)],
        calls=[
            make_call("register-1", What.REGISTER, -5, -4, account_id=ACCOUNT, address=ADDRESS),
            make_call("send-1", What.SEND, 0, 2, account_id=ACCOUNT, answered_id=str(row["_id"])),
        ],
    )
    return replace(records, **over)


def verdict(records: Records) -> Verdict:
    return check(records, requests_in_flight=2)


def kinds(records: Records) -> set[Kind]:
    return {breach.kind for breach in verdict(records).breaches}


def with_row(**over: Any) -> Records:
    records = sound()
    return replace(records, rows=[{**records.rows[0], **over}])


def with_audit(*after_seconds: float, row: dict[str, Any] | None = None, **over: Any) -> Records:
    records = with_row(**(row or {}))
    return replace(records, audit=[make_audit(records.rows[0], each, **over) for each in after_seconds])


def with_calls(records: Records, *calls: Call) -> Records:
    return replace(records, calls=sorted([*records.calls, *calls], key=lambda call: call.begun_at))


def of_campaign(state: CampaignState = CampaignState.COMPLETED, **over: Any) -> Records:
    records = with_row(campaign={"id": CAMPAIGN_ID, "page": 0})
    campaign = Campaign(
        id=str(CAMPAIGN_ID),
        campaign_key="key-1",
        state=state,
        reason=None,
        accounts=1,
        counts={"sent": 1},
        failures={},
        rate_per_second=None,
        rollout=None,
        expires_at=None,
        created_at=NOW,
        updated_at=NOW,
        finished_at=NOW,
        plan=None,
        title="Title",
    )
    asked = make_call(
        "campaign-1", What.CAMPAIGN, 0, 0.1, key="key-1", audience=(ACCOUNT,), answered_id=str(CAMPAIGN_ID)
    )
    return with_calls(replace(records, campaigns=[replace(campaign, **over)]), asked)


def command(what: What, begun: float, ended: float | None, **over: Any) -> Call:
    return make_call(f"{what}-{begun}", what, begun, ended, subject=str(CAMPAIGN_ID), **over)


def moved(at: float) -> Call:
    return make_call("register-2", What.REGISTER, at - 0.1, at, account_id="someone-else", address=ADDRESS)


def key_of_two() -> Records:
    records = with_row(idempotency_key="key")
    other = {**records.rows[0], "_id": ObjectId()}
    call = make_call("send-2", What.SEND, 0, 1, account_id=ACCOUNT, key="key")
    return with_calls(
        replace(records, rows=[*records.rows, other], audit=[*records.audit, make_audit(other)]), call
    )


def cancelled_and_sent() -> Records:
    records = sound()
    row_id = str(records.rows[0]["_id"])
    return with_calls(records, make_call("cancel-1", What.CANCEL_ROW, 0.1, 0.2, subject=row_id))


def ended_itself(process: str, exit_code: int) -> Records:
    return sound(
        self_ends=[SelfEnd(process=process, at=START, exit_code=exit_code, last_line="the last line")]
    )


def refused_and_sent() -> Records:
    records = sound()
    refused = make_call("send-1", What.SEND, 0, 1, account_id=ACCOUNT, error="database_unavailable")
    return replace(records, calls=[records.calls[0], refused])


EXPIRES = {"expires_at": NOW + timedelta(seconds=10)}
PLANTED: dict[str, tuple[Kind, Callable[[], Records]]] = {
    "a row that never ends": (Kind.NOT_FINAL, lambda: with_row(status="pending")),
    "accepted twice, recorded once": (Kind.MISCOUNTED, lambda: with_audit(1, 2)),
    "recorded as accepted, never accepted": (Kind.MISCOUNTED, with_audit),
    "accepted for nobody": (Kind.NO_ROW, lambda: with_audit(1, android_tag=str(ObjectId()))),
    "at most once, twice": (Kind.REPEATED, lambda: with_audit(1, 2, row={"outcome_policy": "at_most_once"})),
    "another one's content": (Kind.OTHER_CONTENT, lambda: with_audit(1, title="Other")),
    "after its expiry": (Kind.AFTER_EXPIRY, lambda: with_audit(11, row=EXPIRES, ttl="0s")),
    "living longer than its row": (Kind.OUTLIVES_EXPIRY, lambda: with_audit(1, row=EXPIRES, ttl="60s")),
    "to a device of another account": (Kind.DEVICE_HAD_LEFT, lambda: with_calls(sound(), moved(-1))),
    "after the row was cancelled": (Kind.AFTER_CANCEL, cancelled_and_sent),
    "after the campaign was cancelled": (
        Kind.AFTER_CANCEL,
        lambda: with_calls(of_campaign(), command(What.CANCEL, 0.1, 0.2)),
    ),
    "after a cancel that is recorded": (
        Kind.AFTER_CANCEL,
        lambda: with_calls(
            of_campaign(),
            command(What.CANCEL, -2, -1, error="campaign_command_deferred", answered_id=str(CAMPAIGN_ID)),
        ),
    ),
    "while the campaign was paused": (
        Kind.WHILE_PAUSED,
        lambda: with_calls(of_campaign(), command(What.PAUSE, 0.1, 0.2), command(What.RESUME, 5, 6)),
    ),
    "an id that is lost": (
        Kind.ID_LOST,
        lambda: with_calls(sound(), make_call("send-2", What.SEND, 0, 1, answered_id=str(ObjectId()))),
    ),
    "refused, and sent": (Kind.REFUSED_AND_SENT, refused_and_sent),
    "a key of two rows": (Kind.KEY_OF_TWO, key_of_two),
    "counts that are not the rows'": (Kind.CAMPAIGN, lambda: of_campaign(counts={"sent": 2})),
    "a campaign that never ends": (Kind.CAMPAIGN, lambda: of_campaign(CampaignState.RUNNING)),
    "content in a log": (
        Kind.LEAK,
        lambda: sound(texts={"worker": "a secret word"}, secrets=("secret",)),
    ),
    "a caller that ended by itself": (Kind.ENDED_ITSELF, lambda: ended_itself("caller-0", 3)),
    "a worker that ended in a fault of its own": (Kind.ENDED_ITSELF, lambda: ended_itself("worker-0", 70)),
    "a row nobody asked for": (Kind.NOT_ASKED_FOR, lambda: with_row(correlation_id="nobody")),
}


def test_where_all_is_well_nothing_is_seen() -> None:
    assert verdict(sound()).breaches == ()
    assert verdict(of_campaign()).breaches == ()


@pytest.mark.parametrize(("kind", "plant"), PLANTED.values(), ids=PLANTED.keys())
def test_each_planted_breach_is_seen_and_told(kind: Kind, plant: Callable[[], Records]) -> None:
    records = plant()
    assert kind in kinds(records)
    for breach in verdict(records).breaches:
        assert next(iter(tell(breach, records))).startswith("BREACH")


def test_every_kind_of_breach_is_planted() -> None:
    assert {kind for kind, _ in PLANTED.values()} == set(Kind)


def test_a_command_that_was_not_carried_out_forbids_nothing() -> None:
    refused = command(What.CANCEL, 0.1, 0.2, error="campaign_overtaken")
    unheard = command(What.CANCEL, 0.1, None)
    assert kinds(with_calls(of_campaign(), refused)) == set()
    assert kinds(with_calls(of_campaign(), unheard)) == set()


def test_a_worker_without_its_servers_may_end() -> None:
    assert kinds(ended_itself("worker-0", 3)) == set()


def test_a_device_that_came_back_may_be_told() -> None:
    back = make_call("register-3", What.REGISTER, -0.5, -0.4, account_id=ACCOUNT, address=ADDRESS)
    assert kinds(with_calls(sound(), moved(-2), back)) == set()


def test_what_a_stopped_sender_had_let_go_is_excused_and_counted() -> None:
    records = with_calls(sound(), moved(-1))
    stopped = StandStill(process="worker-0", began_at=START - 2, ended_at=START + 0.9)
    assert verdict(replace(records, stand_stills=[stopped])).excused == 1
    assert kinds(replace(records, stand_stills=[stopped])) == set()


def test_calls_are_read_as_they_were_written_and_half_a_line_is_left_out() -> None:
    call = make_call("send-1", What.SEND, 0, account_id=ACCOUNT, key="key", audience=("a", "b"))
    ended = end_line("send-1", START + 1, answered_id="id", error="slow", may_have_happened=True)
    [read] = read_calls([begin_line(call), ended, '{"call": "send-2", "wh'])
    assert read == replace(call, ended_at=START + 1, answered_id="id", error="slow", may_have_happened=True)

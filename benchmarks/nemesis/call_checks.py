"""What callers were told and what became of it: ids that last, keys of one row, refusals that sent none."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from benchmarks.nemesis.breach import Breach, Kind
from benchmarks.nemesis.records import Call, Records, What


def check_calls(records: Records) -> Iterator[Breach]:
    yield from _check_ids(records)
    yield from _check_keys(records)
    yield from _check_refusals(records)


def _check_ids(records: Records) -> Iterator[Breach]:
    """An id that was answered is a row, or a campaign; one that came with a doubtful write need not be."""
    known = {What.SEND: {str(row["_id"]) for row in records.rows}}
    known[What.CAMPAIGN] = {campaign.id for campaign in records.campaigns}
    for call in records.calls:
        ids = known.get(call.what)
        if ids is None or call.answered_id is None or call.may_have_happened:
            continue
        if call.answered_id not in ids:
            what = f"{call.answered_id} was answered to {call.what} {call.id} and is not recorded"
            yield Breach(kind=Kind.ID_LOST, what=what, call_ids=(call.id,))


def _check_keys(records: Records) -> Iterator[Breach]:
    answered: dict[tuple[str | None, str], set[str]] = defaultdict(set)
    calls: dict[tuple[str | None, str], list[str]] = defaultdict(list)
    for call in records.calls:
        if call.key is not None and call.what in (What.SEND, What.CAMPAIGN):
            calls[call.account_id, call.key].append(call.id)
            if call.answered_id is not None:
                answered[call.account_id, call.key].add(call.answered_id)
    rows = Counter((row["account_id"], row.get("idempotency_key")) for row in records.rows)
    for pair, call_ids in calls.items():
        count, ids = rows.get(pair, 0), answered[pair]
        if count > 1 or len(ids) > 1:
            what = f"key {pair[1]} of {pair[0]} has {count} rows and was answered {sorted(ids)}"
            yield Breach(kind=Kind.KEY_OF_TWO, what=what, call_ids=tuple(call_ids))


def _check_refusals(records: Records) -> Iterator[Breach]:
    """Whoever is refused without a word of doubt may ask again: nothing of the first call may go out."""
    calls = {call.id: call for call in records.calls if call.what is What.SEND}
    acknowledged = {call.answered_id for call in calls.values()}
    doubted = {(call.account_id, call.key) for call in calls.values() if call.key and not call.was_refused}
    sent = Counter(str(entry["android_tag"]) for entry in records.audit)
    for row in records.rows:
        row_id, asked_by = str(row["_id"]), row.get("correlation_id")
        if row.get("campaign"):
            continue
        call = calls.get(asked_by) if asked_by else None
        if call is None:
            what = f"row {row_id} says it was asked for by {asked_by}, which no caller wrote down"
            yield Breach(kind=Kind.NOT_ASKED_FOR, what=what, row_id=row_id)
        elif _went_out_unsaid(call, row_id, acknowledged, doubted) and sent[row_id]:
            what = f"call {call.id} raised {call.error} without an id, and row {row_id} went out"
            yield Breach(kind=Kind.REFUSED_AND_SENT, what=what, row_id=row_id)


def _went_out_unsaid(
    call: Call, row_id: str, acknowledged: set[str | None], doubted: set[tuple[str | None, str]]
) -> bool:
    of_key = call.key is not None and (call.account_id, call.key) in doubted
    return call.was_refused and row_id not in acknowledged and not of_key

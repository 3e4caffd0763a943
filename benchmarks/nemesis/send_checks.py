"""What may not have gone out: after an expiry, a cancel, a pause, to a device that had left, or twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from benchmarks.nemesis.breach import Breach, Kind, clock
from benchmarks.nemesis.moments import ON_THE_WAY_SECONDS, Moments
from benchmarks.nemesis.records import Call, Document, Records, What, seconds_of
from modules.notification.types import OutcomePolicy
from simulator.audit_log import AuditEntry

# Who had left for so long is not told any more.
LEFT_SECONDS = 1.0
# A wish is looked at before a message when what is known of it is older than this.
WISH_SECONDS = 1.0
# Times to live are whole seconds.
TTL_STEP_SECONDS = 1.0
# FCM keeps a message for four weeks when nothing is said (HTTP v1, AndroidConfig.ttl).
DEFAULT_TTL_SECONDS = 28 * 86_400.0
_COMMANDS = (What.PAUSE, What.RESUME, What.CANCEL)


def check_sends(records: Records, moments: Moments) -> Iterator[Breach]:
    """One pass over everything that was accepted."""
    rows = {str(row["_id"]): row for row in records.rows}
    commands = _commands_of(records.calls)
    cancelled_rows = {
        call.subject: call for call in records.calls if call.what is What.CANCEL_ROW and call.succeeded
    }
    stays = _device_calls(records.calls)
    for entry in records.audit:
        row = rows.get(str(entry["android_tag"]))
        if row is None:
            continue
        yield from _check_content(entry, row)
        yield from _check_expiry(entry, row, moments)
        yield from _check_device(entry, row, stays, moments)
        yield from _check_cancelled_row(entry, row, cancelled_rows, moments)
        if row.get("campaign"):
            yield from _check_campaign(entry, row, commands.get(str(row["campaign"]["id"]), []), moments)
    yield from _check_repeats(records, rows)


def _check_content(entry: AuditEntry, row: Document) -> Iterator[Breach]:
    if entry["title"] != row["title"]:
        what = f"row {row['_id']} says {row['title']!r}, {entry['title']!r} went out at {entry['at']}"
        yield Breach(kind=Kind.OTHER_CONTENT, what=what, row_id=str(row["_id"]))


def _check_expiry(entry: AuditEntry, row: Document, moments: Moments) -> Iterator[Breach]:
    if row.get("expires_at") is None:
        return
    at, expires_at, row_id = seconds_of(entry["at"]), seconds_of(row["expires_at"]), str(row["_id"])
    if moments.is_after(at, expires_at + ON_THE_WAY_SECONDS):
        what = f"row {row_id} expired at {clock(expires_at)} and went out at {clock(at)}"
        yield Breach(kind=Kind.AFTER_EXPIRY, what=what, row_id=row_id)
        return
    lives = DEFAULT_TTL_SECONDS if entry["ttl"] is None else float(entry["ttl"].removesuffix("s"))
    if moments.is_after(at, expires_at - lives + TTL_STEP_SECONDS + ON_THE_WAY_SECONDS):
        what = f"row {row_id} expires at {clock(expires_at)} and lives until {clock(at + lives)}"
        yield Breach(kind=Kind.OUTLIVES_EXPIRY, what=what, row_id=row_id)


def _check_device(
    entry: AuditEntry, row: Document, stays: dict[str, list[Call]], moments: Moments
) -> Iterator[Breach]:
    at, account_id, row_id = seconds_of(entry["at"]), str(row["account_id"]), str(row["_id"])
    left = _left(stays.get(entry["target"], []), account_id, at)
    if left is None or left.ended_at is None or not moments.is_after(at, left.ended_at + LEFT_SECONDS):
        return
    what = (
        f"{entry['target']} had left {account_id} at {clock(left.ended_at)} ({left.what} {left.id})"
        f" and got row {row_id} at {clock(at)}, {at - left.ended_at:.1f} s later"
    )
    yield Breach(kind=Kind.DEVICE_HAD_LEFT, what=what, row_id=row_id, call_ids=(left.id,))


def _device_calls(calls: Sequence[Call]) -> dict[str, list[Call]]:
    """What was said of each address, in its order."""
    stays: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        if call.what in (What.REGISTER, What.LOG_OUT) and call.address is not None:
            stays[call.address].append(call)
    return stays


def _left(calls: Sequence[Call], account_id: str, at: float) -> Call | None:
    """The call by which a device had left the account for good at that time; None where it may be there."""
    left = None
    for call in calls:
        if call.begun_at > at:
            break
        if call.what is What.REGISTER and call.account_id == account_id:
            left = None
        elif call.succeeded and left is None and _takes_away(call, account_id):
            left = call
    return left


def _takes_away(call: Call, account_id: str) -> bool:
    return call.what is What.REGISTER or call.account_id == account_id


def _check_cancelled_row(
    entry: AuditEntry, row: Document, cancelled: dict[str | None, Call], moments: Moments
) -> Iterator[Breach]:
    call, at = cancelled.get(str(row["_id"])), seconds_of(entry["at"])
    if call is None or call.ended_at is None:
        return
    if moments.is_after(at, call.ended_at + ON_THE_WAY_SECONDS):
        what = f"row {row['_id']} was cancelled at {clock(call.ended_at)} and went out at {clock(at)}"
        yield Breach(kind=Kind.AFTER_CANCEL, what=what, row_id=str(row["_id"]), call_ids=(call.id,))


def _commands_of(calls: Sequence[Call]) -> dict[str, list[Call]]:
    """The commands of each campaign in their order."""
    commands: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        if call.what in _COMMANDS and call.subject is not None:
            commands[call.subject].append(call)
    return commands


def _check_campaign(
    entry: AuditEntry, row: Document, commands: Sequence[Call], moments: Moments
) -> Iterator[Breach]:
    at, row_id = seconds_of(entry["at"]), str(row["_id"])
    silenced_by, silent_at = _silenced(commands, at)
    if silenced_by is None or not moments.is_after(at, silent_at):
        return
    word = "cancelled" if silenced_by.what is What.CANCEL else "paused"
    kind = Kind.AFTER_CANCEL if silenced_by.what is What.CANCEL else Kind.WHILE_PAUSED
    what = (
        f"campaign {row['campaign']['id']} was {word} at {clock(silenced_by.ended_at or 0)}"
        f" ({silenced_by.error or 'returned'}) and its row {row_id} went out at {clock(at)}"
    )
    yield Breach(kind=kind, what=what, row_id=row_id, call_ids=tuple(call.id for call in commands))


def _silenced(commands: Sequence[Call], at: float) -> tuple[Call | None, float]:
    """The command after which nothing more goes out at that time, and from when on."""
    pause: Call | None = None
    for call in commands:
        if call.begun_at > at:
            break
        if call.what is What.RESUME:
            pause = None
        elif call.what is What.CANCEL and _is_kept(call):
            # A pause before it that nobody ended says the same, earlier.
            return _silent_from(pause or call)
        elif call.what is What.PAUSE and pause is None and _is_kept(call):
            pause = call
    return (None, 0.0) if pause is None else _silent_from(pause)


def _silent_from(call: Call) -> tuple[Call, float]:
    grace = ON_THE_WAY_SECONDS if call.succeeded else WISH_SECONDS + ON_THE_WAY_SECONDS
    return call, (call.ended_at or 0.0) + grace


def _is_kept(call: Call) -> bool:
    """Whether the caller was told that the command holds: it returned, or is recorded and done later."""
    return call.succeeded or (call.answered_id is not None and not call.may_have_happened)


def _check_repeats(records: Records, rows: dict[str, Document]) -> Iterator[Breach]:
    counts = Counter((str(entry["android_tag"]), entry["target"]) for entry in records.audit)
    for (row_id, target), count in counts.items():
        row = rows.get(row_id)
        if row and count > 1 and row["outcome_policy"] == OutcomePolicy.AT_MOST_ONCE.value:
            what = f"row {row_id} is at_most_once and went to {target} {count} times"
            yield Breach(kind=Kind.REPEATED, what=what, row_id=row_id)

"""Holds what a run recorded against what is promised; pure: records in, breaches out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.nemesis.breach import Breach, Kind, clock
from benchmarks.nemesis.call_checks import check_calls
from benchmarks.nemesis.moments import Moments
from benchmarks.nemesis.records import Document, Records
from benchmarks.nemesis.schedule import WORKERS
from benchmarks.nemesis.send_checks import check_sends
from modules.cli.exit_codes import ExitCode
from tests.support.campaign_invariant import campaign_problems_of
from tests.support.invariant import is_final, leaks_of, problems_of

# A process has two lanes to the provider.
LANES = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """`excused` are messages that a stopped sender had let go before what would have kept them."""

    breaches: tuple[Breach, ...]
    excused: int


def check(records: Records, *, requests_in_flight: int) -> Verdict:
    """Every breach, those of the record first. `requests_in_flight`: what a lane of one process may have."""
    moments = Moments(records.stand_stills, in_flight=LANES * requests_in_flight)
    breaches = [*_check_rows(records), *_check_campaigns(records), *check_calls(records)]
    breaches += _check_processes(records)
    breaches += check_sends(records, moments)
    breaches += [Breach(kind=Kind.LEAK, what=leak) for leak in leaks_of(records.texts, records.secrets)]
    return Verdict(tuple(breaches), moments.excused)


def _check_rows(records: Records) -> Iterator[Breach]:
    """Rows end, and the audit is what they say."""
    devices = {str(device["_id"]): device for device in records.devices}
    audit = defaultdict(list)
    for entry in records.audit:
        audit[str(entry["android_tag"])].append(entry)
    for row in records.rows:
        row_id = str(row["_id"])
        known = [devices[device["device_id"]] for device in row["devices"] if device["device_id"] in devices]
        accepted = audit.pop(row_id, [])
        if not is_final(row):
            yield Breach(kind=Kind.NOT_FINAL, what=f"row {row_id} is {row['status']}", row_id=row_id)
        for problem in problems_of([{**row, "active": False}], known, accepted):
            yield Breach(kind=Kind.MISCOUNTED, what=problem, row_id=row_id)
    for tag, entries in audit.items():
        first = entries[0]["at"]
        yield Breach(kind=Kind.NO_ROW, what=f"{len(entries)} accepted for {tag}, no row; first at {first}")


def _check_campaigns(records: Records) -> Iterator[Breach]:
    asked = {call.key: call for call in records.calls if call.what == "campaign"}
    rows: dict[str, list[Document]] = defaultdict(list)
    for row in records.rows:
        if row.get("campaign"):
            rows[str(row["campaign"]["id"])].append(row)
    for campaign in records.campaigns:
        call = asked.get(campaign.campaign_key)
        audience: Sequence[str] = call.audience if call else ()
        commands = tuple(each.id for each in records.calls if each.subject == campaign.id)
        for problem in campaign_problems_of(campaign, audience, rows[campaign.id]):
            yield Breach(
                kind=Kind.CAMPAIGN, what=problem, call_ids=(*((call.id,) if call else ()), *commands)
            )


def _check_processes(records: Records) -> Iterator[Breach]:
    """A worker may end where a server is out of reach, to be started again; a caller never does."""
    for end in records.self_ends:
        if end.process in WORKERS and end.exit_code == ExitCode.UNAVAILABLE:
            continue
        what = f"{end.process} ended with {end.exit_code} at {clock(end.at)}: {end.last_line}"
        yield Breach(kind=Kind.ENDED_ITSELF, what=what)

"""What must hold after every fault: rows final, the audit explained by the rows, nothing leaked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from modules.notification.types import Outcome, Status
from simulator.audit_log import AuditEntry

Document = dict[str, Any]

FINAL = frozenset({Status.SENT.value, Status.DELIVERED.value, Status.FAILED.value, Status.EXPIRED.value})


def is_final(row: Mapping[str, Any]) -> bool:
    return row["status"] in FINAL or not row["active"]


def accepted_by_target(audit: Iterable[AuditEntry]) -> Counter[tuple[str, str]]:
    """How often the provider accepted a message, by row id (the collapse id) and target."""
    return Counter((str(entry["android_tag"]), entry["target"]) for entry in audit)


def problems_of(
    rows: Sequence[Document], devices: Sequence[Document], audit: Sequence[AuditEntry]
) -> list[str]:
    """Every way in which rows and audit contradict the invariant of faults.md; empty when it holds.

    For each row and device: recorded as accepted <= accepted by the provider <= recorded as accepted plus
    recorded as unknown. A claim that was lost says of every device that one send is unknown.
    """
    problems = [f"row {row['_id']} is {row['status']}" for row in rows if not is_final(row)]
    addresses = {str(device["_id"]): device["address"] for device in devices}
    seen: dict[str, dict[str, int]] = {}
    for (tag, target), times in accepted_by_target(audit).items():
        seen.setdefault(tag, {})[target] = times
    for row in rows:
        row_id, lost = str(row["_id"]), row["lost_claims"]
        recorded = {addresses[device["device_id"]]: device for device in row["devices"]}
        counts = seen.pop(row_id, {})
        for target in {*recorded, *counts}:
            device = recorded.get(target)
            accepted = int(device is not None and device["outcome"] == Outcome.ACCEPTED.value)
            unknown = lost + (device["unknown_attempts"] if device is not None else 0)
            count = counts.get(target, 0)
            if not accepted <= count <= accepted + unknown:
                problems.append(
                    f"row {row_id}: the provider accepted {count},"
                    f" recorded are {accepted} accepted and {unknown} unknown"
                )
    problems += [
        f"the provider accepted {count} for {tag}, no row"
        for tag, counts in seen.items()
        for count in counts.values()
    ]
    return problems


def unknown_sends(rows: Iterable[Document]) -> int:
    """How many sends the rows record as unknown, lost claims included."""
    return sum(
        row["lost_claims"] + sum(device["unknown_attempts"] for device in row["devices"]) for row in rows
    )


def leaks_of(texts: Mapping[str, str], secrets: Iterable[str]) -> list[str]:
    """Where a secret or a message's content stands in a log or a history; names only."""
    markers = list(secrets)
    return [
        f"{name} holds {marker[:12]}…" for name, text in texts.items() for marker in markers if marker in text
    ]

"""The record of everything accepted: one line of JSON each, in the file before the answer leaves."""

from __future__ import annotations

import json
import os
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict


class MessageMarks(TypedDict):
    """What of a message's content is recorded: how a phone would collapse it, and what it is about."""

    title: str | None
    android_tag: str | None
    android_collapse_key: str | None
    apns_collapse_id: str | None
    webpush_tag: str | None
    ttl: str | None


class AuditEntry(MessageMarks):
    """One accepted message. `sequence` counts the lines from 1, `request_number` the sends.

    `at` is UTC in ISO 8601. `validate_only` entries were checked and not delivered. `size_bytes` is
    send_request.encoded_size.
    """

    sequence: int
    at: str
    request_number: int
    message_id: str
    project: str
    target_kind: str
    target: str
    validate_only: bool
    size_bytes: int


class AuditLog:
    """Appends to `path` with one write(2) a line: what was accepted survives a kill -9 of the simulator.

    Only the lines' places are kept in memory, so that a million of them cost 9 MB; entries are read back from
    the file. A log of an earlier run is continued. One process at a time may hold it.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._offsets = array("Q")
        self._validated = bytearray()
        self._end = 0
        self.last_request_number = 0
        self.accepted_by_project: Counter[str] = Counter()
        self.accepted_by_kind: Counter[str] = Counter()
        self._read_earlier_run(path)

    def __len__(self) -> int:
        """How many lines there are, validated ones included."""
        return len(self._offsets)

    @property
    def accepted(self) -> int:
        return len(self._offsets) - self.validated

    @property
    def validated(self) -> int:
        return self._validated.count(1)

    def append(self, entry: AuditEntry) -> None:
        """Raises OSError, and counts nothing, when the line cannot be written."""
        line = json.dumps(entry).encode() + b"\n"
        if os.write(self._descriptor, line) != len(line):
            os.ftruncate(self._descriptor, self._end)
            raise OSError("the audit log could not be written whole")
        self._count(entry, len(line))

    def lines(self, *, since: int, limit: int, include_validated: bool) -> Iterator[bytes]:
        """At most `limit` lines after the one whose sequence is `since`, without their newlines."""
        for index in range(max(since, 0), len(self._offsets)):
            if limit <= 0:
                return
            if include_validated or not self._validated[index]:
                limit -= 1
                start = self._offsets[index]
                end = self._offsets[index + 1] if index + 1 < len(self._offsets) else self._end
                yield os.pread(self._descriptor, end - start - 1, start)

    def close(self) -> None:
        os.close(self._descriptor)

    def _count(self, entry: AuditEntry, length: int) -> None:
        self.last_request_number = entry["request_number"]
        self._offsets.append(self._end)
        self._validated.append(entry["validate_only"])
        self._end += length
        if not entry["validate_only"]:
            self.accepted_by_project[entry["project"]] += 1
            self.accepted_by_kind[entry["target_kind"]] += 1

    def _read_earlier_run(self, path: Path) -> None:
        with path.open("rb") as log:
            for number, line in enumerate(log, start=1):
                if not line.endswith(b"\n"):
                    # A full disk can leave half a line, which no client was answered for.
                    os.ftruncate(self._descriptor, self._end)
                    return
                try:
                    self._count(json.loads(line), len(line))
                except (ValueError, KeyError, TypeError):
                    raise ValueError(f"{path}: line {number} is not an audit entry") from None

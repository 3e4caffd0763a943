"""A record that is exact, and goes on where an earlier run ended."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.audit_log import AuditEntry, AuditLog


def make_entry(
    log: AuditLog, *, target: str = "t", title: str | None = "Hello", validate_only: bool = False
) -> AuditEntry:
    return {
        "sequence": len(log) + 1,
        "at": "2026-01-01T00:00:00.000000+00:00",
        "request_number": 10 + len(log),
        "message_id": "projects/p/messages/1",
        "project": "p",
        "target_kind": "token",
        "target": target,
        "validate_only": validate_only,
        "title": title,
        "android_tag": None,
        "android_collapse_key": None,
        "apns_collapse_id": None,
        "webpush_tag": None,
        "ttl": None,
        "size_bytes": 1,
    }


def read(
    log: AuditLog, *, since: int = 0, limit: int = 100, include_validated: bool = True
) -> list[AuditEntry]:
    lines = list(log.lines(since=since, limit=limit, include_validated=include_validated))
    assert not any(line.endswith(b"\n") for line in lines)
    return [json.loads(line) for line in lines]


def test_a_line_is_in_the_file_when_append_returns(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    for target in "ab":
        log.append(make_entry(log, target=target))
    lines = (tmp_path / "audit.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["target"] for line in lines] == ["a", "b"]
    assert (tmp_path / "audit.jsonl").stat().st_mode & 0o777 == 0o600


def test_pages_follow_each_other(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    for number in range(5):
        log.append(make_entry(log, validate_only=number == 2))
    assert [entry["sequence"] for entry in read(log, limit=2)] == [1, 2]
    assert [entry["sequence"] for entry in read(log, since=1, limit=3, include_validated=False)] == [2, 4, 5]
    assert read(log, since=5) == []
    assert (log.accepted, log.validated, len(log)) == (4, 1, 5)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)


@given(st.lists(st.tuples(texts, st.none() | texts, st.booleans()), max_size=8), st.integers(0, 9))
def test_what_is_read_is_what_was_written_in_this_run_and_the_next(
    contents: list[tuple[str, str | None, bool]], since: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audit.jsonl"
        log = AuditLog(path)
        written = []
        for target, title, validate_only in contents:
            written.append(make_entry(log, target=target, title=title, validate_only=validate_only))
            log.append(written[-1])
        following = AuditLog(path)
        for each in (log, following):
            assert read(each, since=since) == written[since:]
            delivered = [entry for entry in written if not entry["validate_only"]]
            assert read(each, include_validated=False) == delivered
            assert each.accepted == len(delivered)
            assert sum(each.accepted_by_project.values()) == len(delivered)
            assert sum(each.accepted_by_kind.values()) == len(delivered)
            assert each.last_request_number == (written[-1]["request_number"] if written else 0)
            each.close()


def test_half_a_line_of_an_earlier_run_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    log.append(make_entry(log))
    log.close()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    log = AuditLog(path)
    log.append(make_entry(log, target="next"))
    assert [entry["target"] for entry in read(log)] == ["t", "next"]
    assert len(path.read_bytes().splitlines()) == 2


@pytest.mark.parametrize("line", [b"{}\n", b"x\n", b"[]\n"])
def test_a_file_that_is_no_audit_log_is_refused_by_name(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(line)
    with pytest.raises(ValueError, match="line 1 is not an audit entry"):
        AuditLog(path)


def test_what_cannot_be_written_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.append(make_entry(log))
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, line: write(descriptor, line[:5]))
    with pytest.raises(OSError, match="could not be written"):
        log.append(make_entry(log))
    monkeypatch.undo()
    log.append(make_entry(log, target="next"))
    assert [entry["target"] for entry in read(log)] == ["t", "next"]

"""Finds in a server's log the line that says why it ended."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MAX_TAIL_BYTES = 64 * 1024
MAX_QUOTE_CHARACTERS = 300


def quote_reason(log_path: Path) -> str:
    """The last error of the log in one short line, else its last line, else that there is none."""
    try:
        content = log_path.read_bytes()[-MAX_TAIL_BYTES:]
    except OSError:
        return "no log was written"
    lines = [line for line in content.decode(errors="replace").splitlines() if line.strip()]
    if not lines:
        return "the log is empty"
    chosen = _last_error(lines) or lines[-1]
    return " ".join(chosen.split())[:MAX_QUOTE_CHARACTERS]


def rotate(log_path: Path) -> None:
    """Keep the log of the last start beside the new one."""
    if log_path.exists():
        log_path.replace(log_path.with_suffix(".previous.log"))


def _last_error(lines: Iterable[str]) -> str | None:
    found = None
    for line in lines:
        entry = _parse(line)
        # mongod marks errors with "s", Temporal with "level"; what follows them is only the shutdown.
        if entry.get("msg") and (entry.get("s") in {"E", "F"} or entry.get("level") in {"ERROR", "FATAL"}):
            detail = entry.get("attr", {}).get("error", "") or entry.get("error", "")
            found = f"{entry['msg']} {detail if isinstance(detail, str) else json.dumps(detail)}"
        elif line.startswith(("Error:", "error:")):
            found = line
    return found


def _parse(line: str) -> dict[str, Any]:
    if not line.startswith("{"):
        return {}
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}

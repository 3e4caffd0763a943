"""Lets a shell use a local stack, and a later start in that shell know whose variables it finds there."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path

SOURCED_VARIABLE = "LOCAL_STACK_SOURCED"


def as_shell_script(environment: Mapping[str, str]) -> str:
    """What a shell sources: the variables, the commands of this Python environment, and what was set."""
    programs = shlex.quote(str(Path(sys.executable).parent))
    marks = json.dumps({name: _digest(text) for name, text in environment.items()})
    lines = [f"export {name}={shlex.quote(text)}" for name, text in environment.items()]
    lines += [f'export PATH={programs}:"$PATH"', f"export {SOURCED_VARIABLE}={shlex.quote(marks)}"]
    return "".join(f"{line}\n" for line in lines)


def forget_sourced(environment: MutableMapping[str, str]) -> list[str]:
    """Remove what such a script has set and nobody has changed since; returns the names."""
    try:
        marks = json.loads(environment.pop(SOURCED_VARIABLE, "{}"))
        found = [name for name, mark in marks.items() if _digest(environment.get(name, "")) == mark]
    except (ValueError, AttributeError):
        return []
    for name in found:
        del environment[name]
    return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]

"""What a shell has after sourcing, and what a later start takes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from local_stack.internals.sourced_environment import (
    SOURCED_VARIABLE,
    as_shell_script,
    forget_sourced,
)

STACK = {"MONGODB_URI": "mongodb://127.0.0.1:1/?a=b&c='d'", "FCM_ENDPOINT": "https://127.0.0.1:2"}


def sourced(script: str) -> dict[str, str]:
    """The environment of a shell that has sourced the script."""
    command = f"{script}{sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    shell = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=60)
    environment: dict[str, str] = json.loads(shell.stdout)
    return environment


def test_a_shell_gets_the_variables_and_the_commands() -> None:
    environment = sourced(as_shell_script(STACK))
    assert {name: environment[name] for name in STACK} == STACK
    assert environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_a_later_start_forgets_what_was_sourced_and_keeps_what_was_set_since() -> None:
    environment = sourced(as_shell_script(STACK))
    environment["MONGODB_URI"] = "mongodb://elsewhere/"
    assert forget_sourced(environment) == ["FCM_ENDPOINT"]
    assert environment["MONGODB_URI"] == "mongodb://elsewhere/"
    assert not {"FCM_ENDPOINT", SOURCED_VARIABLE} & environment.keys()
    assert forget_sourced(environment) == []


def test_a_mark_that_cannot_be_read_forgets_nothing() -> None:
    for mark in ("", "{", "[1]", '"text"'):
        environment = {SOURCED_VARIABLE: mark, **STACK}
        assert forget_sourced(environment) == []
        assert environment == STACK

"""What every process compares a collection with has to be the same in all of them."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.servers import ROOT

VALIDATORS = """
import bootstrap
from modules.application.repository import Repository

def kinds(cls):
    for each in cls.__subclasses__():
        yield each
        yield from kinds(each)

print(sorted((each.collection_name, repr(each.validator)) for each in kinds(Repository)))
"""


def validators(seed: int) -> str:
    """Every collection's validator, in a process that hashes text in its own way."""
    done = subprocess.run(
        [sys.executable, "-c", VALIDATORS],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(seed)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_every_process_asks_for_the_same_validators() -> None:
    first, *others = (validators(seed) for seed in range(1, 5))
    assert "push_notifications" in first
    assert all(other == first for other in others)

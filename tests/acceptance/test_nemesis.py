"""Three minutes of random faults under load: no promise is broken."""

from __future__ import annotations

import secrets

import pytest

from benchmarks.nemesis.__main__ import run, told
from tests.support.servers import session_folder

MINUTES = 3.0


@pytest.mark.timeout(600)
def test_no_promise_is_broken_whatever_fails() -> None:
    seed = secrets.randbelow(10**6)
    print(f"repeat it with: python -m benchmarks.nemesis --minutes {MINUTES:g} --seed {seed}")
    nemesis = run(seed=seed, minutes=MINUTES, folder=session_folder() / "nemesis")
    assert nemesis.verdict.breaches == (), "\n".join([f"seed {seed}", *told(nemesis)])
    assert len(nemesis.records.audit) > 100, "there was too little load to tell"

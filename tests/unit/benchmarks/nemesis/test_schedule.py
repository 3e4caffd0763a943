"""What befalls whom: repeatable by its seed, one fault of a target at a time, every kind in its turn."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.nemesis.schedule import PROVIDER_FAULTS, FaultKind, make_schedule

seeds = st.integers(0, 10**6)


@settings(max_examples=25)
@given(seeds, st.floats(10, 4_000), st.booleans())
def test_a_seed_gives_the_same_faults_again(seed: int, seconds: float, beside: bool) -> None:
    schedule = make_schedule(seed, seconds=seconds, beside=beside)
    assert schedule == make_schedule(seed, seconds=seconds, beside=beside)
    assert list(schedule) == sorted(schedule, key=lambda fault: (fault.at, fault.target))
    assert all(fault.at > 0 and fault.at + fault.seconds <= seconds for fault in schedule)


@settings(max_examples=25)
@given(seeds)
def test_no_target_has_two_faults_at_once(seed: int) -> None:
    ends: dict[str, float] = defaultdict(float)
    for fault in make_schedule(seed, seconds=600):
        assert fault.at >= ends[fault.target]
        ends[fault.target] = fault.at + fault.seconds


@settings(max_examples=25)
@given(seeds)
def test_an_hour_has_every_kind_of_fault(seed: int) -> None:
    schedule = make_schedule(seed, seconds=3_600)
    assert {fault.kind for fault in schedule} == set(FaultKind)
    answers = [fault for fault in schedule if fault.kind is FaultKind.ANSWER]
    assert len(answers) > len(PROVIDER_FAULTS)


@settings(max_examples=25)
@given(seeds)
def test_an_earlier_commit_serves_only_where_it_is_asked_for(seed: int) -> None:
    assert not any(fault.options.get("earlier") for fault in make_schedule(seed, seconds=3_600))
    beside = make_schedule(seed, seconds=3_600, beside=True)
    assert {fault.target for fault in beside if fault.options.get("earlier")} == {"worker-1"}

"""The breaker as a table, and as a state machine held against a model of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from modules.notification.internals.circuit_breaker import BreakerState, CircuitBreaker
from modules.notification.types import Classification, Outcome, TargetResult, ThrottleScope

THRESHOLD = 3
COOLDOWN = 30.0
FAILURES = (Outcome.TRANSIENT, Outcome.UNKNOWN)
ANSWERS = (Outcome.ACCEPTED, Outcome.PERMANENT, Outcome.TARGET_DEAD)


def result(outcome: Outcome, **over: Any) -> TargetResult:
    verdict: dict[str, Any] = {"outcome": outcome, "code": outcome.name, "reason": "", **over}
    return TargetResult(device_id="device-1", classification=Classification(**verdict))


def project_pause(seconds: float) -> TargetResult:
    return result(Outcome.THROTTLED, scope=ThrottleScope.PROJECT, retry_after_seconds=seconds)


def make_breaker() -> CircuitBreaker:
    return CircuitBreaker(failure_threshold=THRESHOLD, cooldown_seconds=COOLDOWN)


def opened(now: float = 0.0) -> CircuitBreaker:
    breaker = make_breaker()
    breaker.record(result(Outcome.MISCONFIGURED), now)
    return breaker


@pytest.mark.parametrize("outcome", FAILURES)
def test_opens_exactly_at_the_threshold(outcome: Outcome) -> None:
    breaker = make_breaker()
    said = [breaker.record(result(outcome), 0.0) for _ in range(THRESHOLD)]
    assert said == [False] * (THRESHOLD - 1) + [True]
    assert breaker.state(0.0) is BreakerState.OPEN


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_starts_the_count_again(answer: Outcome) -> None:
    breaker = make_breaker()
    for outcome in (*[Outcome.TRANSIENT] * (THRESHOLD - 1), answer, *[Outcome.TRANSIENT] * (THRESHOLD - 1)):
        breaker.record(result(outcome), 0.0)
    assert breaker.state(0.0) is BreakerState.CLOSED


def test_a_refused_credential_opens_at_once() -> None:
    assert make_breaker().record(result(Outcome.MISCONFIGURED), 0.0)


def test_one_probe_goes_out_after_the_cooldown() -> None:
    breaker = opened()
    assert breaker.admit(10, COOLDOWN - 0.001) == 0
    assert [breaker.admit(10, COOLDOWN) for _ in range(3)] == [1, 0, 0]


def test_nothing_wanted_uses_up_no_probe() -> None:
    breaker = opened()
    assert breaker.admit(0, COOLDOWN) == 0
    assert breaker.admit(1, COOLDOWN) == 1


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_probe_that_is_answered_closes(answer: Outcome) -> None:
    breaker = opened()
    breaker.admit(1, COOLDOWN)
    breaker.record(result(answer), COOLDOWN)
    assert breaker.admit(7, COOLDOWN) == 7


@pytest.mark.parametrize("outcome", [*FAILURES, Outcome.MISCONFIGURED])
def test_a_probe_that_fails_opens_for_another_cooldown(outcome: Outcome) -> None:
    breaker = opened()
    breaker.admit(1, COOLDOWN)
    assert not breaker.record(result(outcome), COOLDOWN), "it was not closed, so this is no news"
    assert breaker.admit(1, 2 * COOLDOWN - 0.001) == 0
    assert breaker.admit(1, 2 * COOLDOWN) == 1


def test_an_abandoned_probe_may_be_made_by_another() -> None:
    breaker = opened()
    breaker.admit(1, COOLDOWN)
    breaker.abandon_probe()
    assert breaker.admit(1, COOLDOWN) == 1


def test_a_project_pause_holds_everything_for_as_long_as_it_says() -> None:
    breaker = make_breaker()
    assert not breaker.record(project_pause(60.0), 0.0)
    assert breaker.admit(5, 59.9) == 0
    assert breaker.refusal(20.0).retry_after_seconds == pytest.approx(40.0)
    assert breaker.admit(5, 60.0) == 5


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    breaker = make_breaker()
    breaker.record(project_pause(60.0), 0.0)
    breaker.record(project_pause(5.0), 0.0)
    assert breaker.admit(1, 30.0) == 0


def test_a_device_quota_pauses_nobody() -> None:
    breaker = make_breaker()
    breaker.record(result(Outcome.THROTTLED, scope=ThrottleScope.DEVICE, retry_after_seconds=60.0), 0.0)
    assert breaker.admit(5, 0.0) == 5


class Breaker(RuleBasedStateMachine):
    """Sends in flight, answers in any order, time that only goes forward."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = make_breaker()
        self.now = 0.0
        self.failures_in_a_row = 0
        self.paused_until = 0.0
        self.open_until: float | None = None
        self.probe_is_out = False
        self.in_flight = 0

    def is_closed(self) -> bool:
        return self.open_until is None and self.now >= self.paused_until

    @rule(seconds=st.sampled_from([0.1, 1.0, COOLDOWN / 2, COOLDOWN]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(wanted=st.integers(0, 5))
    def ask(self, wanted: int) -> None:
        admitted = self.breaker.admit(wanted, self.now)
        if self.now < self.paused_until:
            assert admitted == 0
        elif self.open_until is None:
            assert admitted == wanted
        elif self.now < self.open_until:
            assert admitted == 0
        else:
            assert admitted == (1 if wanted and not self.probe_is_out else 0)
            self.probe_is_out = self.probe_is_out or admitted == 1
        self.in_flight += admitted

    @precondition(lambda self: self.in_flight > 0)
    @rule(outcome=st.sampled_from(FAILURES))
    def a_send_fails(self, outcome: Outcome) -> None:
        self.in_flight -= 1
        self.failures_in_a_row += 1
        was_closed = self.open_until is None
        reports = self.breaker.record(result(outcome), self.now)
        if self.failures_in_a_row >= THRESHOLD or self.probe_is_out:
            self.open_until, self.probe_is_out = self.now + COOLDOWN, False
            assert reports == was_closed
        else:
            assert not reports

    @precondition(lambda self: self.in_flight > 0)
    @rule(outcome=st.sampled_from(ANSWERS))
    def a_send_is_answered(self, outcome: Outcome) -> None:
        self.in_flight -= 1
        self.failures_in_a_row, self.open_until, self.probe_is_out = 0, None, False
        assert not self.breaker.record(result(outcome), self.now)

    @precondition(lambda self: self.in_flight > 0)
    @rule()
    def the_credential_is_refused(self) -> None:
        self.in_flight -= 1
        was_closed = self.open_until is None
        assert self.breaker.record(result(Outcome.MISCONFIGURED), self.now) == was_closed
        self.open_until, self.probe_is_out = self.now + COOLDOWN, False

    @precondition(lambda self: self.in_flight > 0)
    @rule(seconds=st.sampled_from([1.0, 45.0]))
    def the_project_is_asked_to_slow_down(self, seconds: float) -> None:
        self.in_flight -= 1
        self.breaker.record(project_pause(seconds), self.now)
        self.paused_until = max(self.paused_until, self.now + seconds)
        self.probe_is_out = False

    @invariant()
    def a_refusal_always_says_when_to_come_back(self) -> None:
        if not self.is_closed():
            assert self.breaker.refusal(self.now).retry_after_seconds > 0


TestBreakerStateMachine = Breaker.TestCase
TestBreakerStateMachine.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)

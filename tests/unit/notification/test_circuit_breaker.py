"""The breaker as a table, and as a state machine held against a model of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
)

from modules.notification.internals.domain.circuit_breaker import (
    SLOW_FAILURES,
    Admission,
    BreakerState,
    CircuitBreaker,
)
from modules.notification.types import Classification, Outcome, TargetResult, ThrottleScope

THRESHOLD = 5
COOLDOWN = 30.0
FAILURE_SECONDS = 20.0
FAILURES = (Outcome.TRANSIENT, Outcome.UNKNOWN)
ANSWERS = (Outcome.ACCEPTED, Outcome.PERMANENT, Outcome.TARGET_DEAD)
# A send that was admitted while the breaker was closed.
ORDINARY = Admission()


def result(outcome: Outcome, **over: Any) -> TargetResult:
    verdict: dict[str, Any] = {"outcome": outcome, "code": outcome.name, "reason": "", **over}
    return TargetResult(device_id="device-1", classification=Classification(**verdict))


def project_pause(seconds: float) -> TargetResult:
    return result(Outcome.THROTTLED, scope=ThrottleScope.PROJECT, retry_after_seconds=seconds)


def make_breaker(failure_threshold: int = THRESHOLD) -> CircuitBreaker:
    return CircuitBreaker(
        failure_threshold=failure_threshold, failure_seconds=FAILURE_SECONDS, cooldown_seconds=COOLDOWN
    )


def admitted(breaker: CircuitBreaker, wanted: int, now: float) -> list[Admission]:
    """The admissions of so many messages that ask one after the other."""
    return [each for each in (breaker.admit(now) for _ in range(wanted)) if each is not None]


def one(breaker: CircuitBreaker, now: float) -> Admission:
    admission = breaker.admit(now)
    assert admission is not None
    return admission


def not_attempted(outcome: Outcome) -> TargetResult:
    return result(outcome, attempted=False)


def opened(now: float = 0.0) -> CircuitBreaker:
    breaker = make_breaker()
    breaker.record(result(Outcome.MISCONFIGURED), now, ORDINARY)
    return breaker


@pytest.mark.parametrize("outcome", FAILURES)
def test_opens_exactly_at_the_threshold(outcome: Outcome) -> None:
    breaker = make_breaker()
    said = [breaker.record(result(outcome), 0.0, ORDINARY) for _ in range(THRESHOLD)]
    assert said == [False] * (THRESHOLD - 1) + [True]
    assert breaker.state(0.0) is BreakerState.OPEN


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_starts_the_count_again(answer: Outcome) -> None:
    breaker = make_breaker()
    for outcome in (*[Outcome.TRANSIENT] * (THRESHOLD - 1), answer, *[Outcome.TRANSIENT] * (THRESHOLD - 1)):
        breaker.record(result(outcome), 0.0, ORDINARY)
    assert breaker.state(0.0) is BreakerState.CLOSED


def test_a_refused_credential_opens_at_once() -> None:
    assert make_breaker().record(result(Outcome.MISCONFIGURED), 0.0, ORDINARY)


def test_one_probe_goes_out_after_the_cooldown() -> None:
    breaker = opened()
    assert len(admitted(breaker, 10, COOLDOWN - 0.001)) == 0
    assert [len(admitted(breaker, 10, COOLDOWN)) for _ in range(3)] == [1, 0, 0]


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_probe_that_is_answered_closes(answer: Outcome) -> None:
    breaker = opened()
    breaker.record(result(answer), COOLDOWN, one(breaker, COOLDOWN))
    assert len(admitted(breaker, 7, COOLDOWN)) == 7


@pytest.mark.parametrize("outcome", [*FAILURES, Outcome.MISCONFIGURED])
def test_a_probe_that_fails_opens_for_another_cooldown(outcome: Outcome) -> None:
    breaker = opened()
    probe = one(breaker, COOLDOWN)
    assert not breaker.record(result(outcome), COOLDOWN, probe), "it was not closed, so this is no news"
    assert len(admitted(breaker, 1, 2 * COOLDOWN - 0.001)) == 0
    assert len(admitted(breaker, 1, 2 * COOLDOWN)) == 1


def test_a_probe_given_back_may_be_made_by_another() -> None:
    breaker = opened()
    assert breaker.give_back(one(breaker, COOLDOWN))
    assert len(admitted(breaker, 1, COOLDOWN)) == 1


def test_only_the_probes_own_admission_gives_it_back() -> None:
    breaker = make_breaker()
    ordinary = one(breaker, 0.0)
    breaker.record(result(Outcome.MISCONFIGURED), 0.0, one(breaker, 0.0))
    probe = one(breaker, COOLDOWN)
    assert not breaker.give_back(ordinary)
    assert not breaker.give_back(Admission()), "nor one that looks like it"
    assert len(admitted(breaker, 1, COOLDOWN)) == 0
    assert breaker.give_back(probe)
    assert len(admitted(breaker, 1, COOLDOWN)) == 1


@pytest.mark.parametrize(
    "answer", [result(Outcome.TRANSIENT), result(Outcome.MISCONFIGURED), project_pause(1.0)]
)
def test_what_an_ordinary_send_is_told_lets_no_second_probe_out(answer: TargetResult) -> None:
    breaker = make_breaker()
    ordinary = one(breaker, 0.0)
    breaker.record(result(Outcome.MISCONFIGURED), 0.0, ORDINARY)
    assert len(admitted(breaker, 1, COOLDOWN)) == 1
    breaker.record(answer, COOLDOWN, ordinary)
    assert len(admitted(breaker, 1, 2 * COOLDOWN)) == 0


@pytest.mark.parametrize("cause", [Outcome.MISCONFIGURED, Outcome.TRANSIENT])
@pytest.mark.parametrize("answer", ANSWERS)
def test_what_was_under_way_when_it_opened_does_not_close_it(cause: Outcome, answer: Outcome) -> None:
    breaker = make_breaker()
    ordinary = one(breaker, 0.0)
    for _ in range(THRESHOLD):
        breaker.record(result(cause), 0.0, ORDINARY)
    breaker.record(result(answer), 1.0, ordinary)
    assert breaker.state(1.0) is BreakerState.OPEN
    breaker.record(result(answer), COOLDOWN, ordinary)
    assert breaker.state(COOLDOWN) is BreakerState.HALF_OPEN


def test_few_failures_over_some_time_open_it_as_well() -> None:
    breaker = make_breaker(failure_threshold=100)
    times = [0.0, FAILURE_SECONDS / 2, FAILURE_SECONDS]
    assert [breaker.record(result(Outcome.TRANSIENT), now, ORDINARY) for now in times] == [False, False, True]


def test_few_failures_with_an_answer_between_them_do_not() -> None:
    breaker = make_breaker(failure_threshold=100)
    breaker.record(result(Outcome.TRANSIENT), 0.0, ORDINARY)
    breaker.record(result(Outcome.ACCEPTED), 1.0, ORDINARY)
    for now in (FAILURE_SECONDS, FAILURE_SECONDS + 1, FAILURE_SECONDS + 2):
        assert not breaker.record(result(Outcome.TRANSIENT), now, ORDINARY)


def test_what_was_not_read_neither_opens_nor_closes() -> None:
    unread = result(Outcome.THROTTLED, unreached=True)
    breaker = make_breaker()
    for _ in range(THRESHOLD - 1):
        breaker.record(result(Outcome.TRANSIENT), 0.0, ORDINARY)
    breaker.record(unread, 0.0, ORDINARY)
    assert breaker.record(result(Outcome.TRANSIENT), 0.0, ORDINARY)
    breaker.record(unread, COOLDOWN, one(breaker, COOLDOWN))
    assert breaker.state(COOLDOWN) is BreakerState.HALF_OPEN


@pytest.mark.parametrize(("cause", "unreached"), [(Outcome.MISCONFIGURED, False), (Outcome.TRANSIENT, True)])
def test_a_refusal_says_whether_the_provider_or_its_operator_is_waited_for(
    cause: Outcome, unreached: bool
) -> None:
    breaker = make_breaker()
    for _ in range(THRESHOLD):
        breaker.record(result(cause), 0.0, ORDINARY)
    assert breaker.refusal(1.0).unreached is unreached


def test_what_was_under_way_does_not_change_why_a_refused_credential_is_closed() -> None:
    breaker = opened()
    for _ in range(THRESHOLD):
        breaker.record(result(Outcome.TRANSIENT), 1.0, ORDINARY)
    assert not breaker.refusal(2.0).unreached


@pytest.mark.parametrize("outcome", Outcome)
def test_what_was_not_attempted_opens_nothing(outcome: Outcome) -> None:
    breaker = make_breaker()
    for _ in range(THRESHOLD):
        assert not breaker.record(not_attempted(outcome), 0.0, ORDINARY)
    assert breaker.state(0.0) is BreakerState.CLOSED


@pytest.mark.parametrize("outcome", Outcome)
def test_what_was_not_attempted_does_not_start_the_count_again(outcome: Outcome) -> None:
    breaker = make_breaker()
    for _ in range(THRESHOLD - 1):
        breaker.record(result(Outcome.TRANSIENT), 0.0, ORDINARY)
    breaker.record(not_attempted(outcome), 0.0, ORDINARY)
    assert breaker.record(result(Outcome.TRANSIENT), 0.0, ORDINARY)


@pytest.mark.parametrize("outcome", Outcome)
def test_a_probe_that_was_not_attempted_is_given_back_and_closes_nothing(outcome: Outcome) -> None:
    breaker = opened()
    breaker.record(not_attempted(outcome), COOLDOWN, one(breaker, COOLDOWN))
    assert breaker.state(COOLDOWN) is BreakerState.HALF_OPEN
    assert len(admitted(breaker, 5, COOLDOWN)) == 1


def test_a_project_pause_holds_everything_for_as_long_as_it_says() -> None:
    breaker = make_breaker()
    assert not breaker.record(project_pause(60.0), 0.0, ORDINARY)
    assert len(admitted(breaker, 5, 59.9)) == 0
    assert breaker.refusal(20.0).retry_after_seconds == pytest.approx(40.0)
    assert len(admitted(breaker, 5, 60.0)) == 5


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    breaker = make_breaker()
    breaker.record(project_pause(60.0), 0.0, ORDINARY)
    breaker.record(project_pause(5.0), 0.0, ORDINARY)
    assert len(admitted(breaker, 1, 30.0)) == 0


def test_a_device_quota_pauses_nobody() -> None:
    breaker = make_breaker()
    breaker.record(
        result(Outcome.THROTTLED, scope=ThrottleScope.DEVICE, retry_after_seconds=60.0), 0.0, ORDINARY
    )
    assert len(admitted(breaker, 5, 0.0)) == 5


class Breaker(RuleBasedStateMachine):
    """Sends in flight, answers in any order, time that only goes forward."""

    in_flight = Bundle("in_flight")

    def __init__(self) -> None:
        super().__init__()
        self.breaker = make_breaker()
        self.now = 0.0
        self.failures_in_a_row = 0
        self.failing_since = 0.0
        self.paused_until = 0.0
        self.open_until: float | None = None
        self.probe: Admission | None = None

    def is_closed(self) -> bool:
        return self.open_until is None and self.now >= self.paused_until

    def ends(self, send: Admission) -> bool:
        """Whether it was the probe that ended."""
        if send is not self.probe:
            return False
        self.probe = None
        return True

    @rule(seconds=st.sampled_from([0.1, 1.0, COOLDOWN / 2, COOLDOWN]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=in_flight, wanted=st.integers(0, 5))
    def ask(self, wanted: int) -> MultipleResults[Admission]:
        let_out = admitted(self.breaker, wanted, self.now)
        if self.now < self.paused_until:
            assert let_out == []
        elif self.open_until is None:
            assert len(let_out) == wanted
        elif self.now < self.open_until:
            assert let_out == []
        else:
            assert len(let_out) == (1 if wanted and self.probe is None else 0)
            self.probe = let_out[0] if let_out else self.probe
        return multiple(*let_out)

    @rule(send=consumes(in_flight), outcome=st.sampled_from(FAILURES))
    def a_send_fails(self, send: Admission, outcome: Outcome) -> None:
        if self.failures_in_a_row == 0:
            self.failing_since = self.now
        self.failures_in_a_row += 1
        was_closed = self.open_until is None
        reports = self.breaker.record(result(outcome), self.now, send)
        lasting = self.now - self.failing_since >= FAILURE_SECONDS
        enough = self.failures_in_a_row >= (SLOW_FAILURES if lasting else THRESHOLD)
        if (self.ends(send) and not was_closed) or enough:
            self.open_until = self.now + COOLDOWN
            assert reports == was_closed
        else:
            assert not reports

    @rule(send=consumes(in_flight), outcome=st.sampled_from(ANSWERS))
    def a_send_is_answered(self, send: Admission, outcome: Outcome) -> None:
        if self.ends(send) or self.open_until is None:
            self.failures_in_a_row, self.open_until = 0, None
        assert not self.breaker.record(result(outcome), self.now, send)

    @rule(send=consumes(in_flight), outcome=st.sampled_from(Outcome))
    def a_send_is_not_attempted(self, send: Admission, outcome: Outcome) -> None:
        self.ends(send)
        assert not self.breaker.record(not_attempted(outcome), self.now, send)

    @rule(send=consumes(in_flight))
    def a_send_is_cancelled(self, send: Admission) -> None:
        assert self.breaker.give_back(send) == self.ends(send)

    @rule(send=consumes(in_flight))
    def the_credential_is_refused(self, send: Admission) -> None:
        self.ends(send)
        was_closed = self.open_until is None
        assert self.breaker.record(result(Outcome.MISCONFIGURED), self.now, send) == was_closed
        self.open_until = self.now + COOLDOWN

    @rule(send=consumes(in_flight), seconds=st.sampled_from([1.0, 45.0]))
    def the_project_is_asked_to_slow_down(self, send: Admission, seconds: float) -> None:
        self.ends(send)
        self.breaker.record(project_pause(seconds), self.now, send)
        self.paused_until = max(self.paused_until, self.now + seconds)

    @invariant()
    def a_refusal_always_says_when_to_come_back(self) -> None:
        if not self.is_closed():
            assert self.breaker.refusal(self.now).retry_after_seconds > 0


TestBreakerStateMachine = Breaker.TestCase
TestBreakerStateMachine.settings = settings(max_examples=100, stateful_step_count=30)

"""What a batch is judged by: sends, failed sends, and the provider's times."""

from __future__ import annotations

from modules.notification.internals.delivery.attempt_tally import AttemptTally
from modules.notification.types import (
    LATENCY_BUCKETS_MS,
    Classification,
    Outcome,
    SendPushResult,
    TargetResult,
)


def result(outcome: Outcome, *, attempted: bool = True, latency_ms: float = 15.0) -> TargetResult:
    verdict = Classification(outcome=outcome, code=outcome.name, reason="", attempted=attempted)
    return TargetResult(device_id="d", classification=verdict, latency_ms=latency_ms)


def tally_of(*results: TargetResult) -> AttemptTally:
    tally = AttemptTally()
    tally.count([SendPushResult(results=results)])
    return tally


def test_a_dead_target_is_no_error_of_the_message() -> None:
    tally = tally_of(
        result(Outcome.ACCEPTED),
        result(Outcome.TARGET_DEAD),
        result(Outcome.PERMANENT),
        result(Outcome.UNKNOWN),
    )
    assert (tally.attempts, tally.errors) == (4, 2)


def test_what_has_to_wait_is_no_send() -> None:
    tally = tally_of(result(Outcome.THROTTLED, attempted=False))
    assert (tally.attempts, tally.errors, sum(tally.latencies)) == (0, 0, 0)


def test_a_used_up_quota_is_no_failed_send() -> None:
    tally = tally_of(*[result(Outcome.THROTTLED)] * 60)
    assert (tally.attempts, tally.errors, sum(tally.latencies)) == (0, 0, 60)


def test_what_was_refused_before_it_left_is_a_failed_send_without_a_time() -> None:
    tally = tally_of(result(Outcome.PERMANENT, attempted=False))
    assert (tally.attempts, tally.errors, sum(tally.latencies)) == (1, 1, 0)


def test_times_are_counted_by_the_bucket_they_fall_in() -> None:
    tally = tally_of(*(result(Outcome.ACCEPTED, latency_ms=each) for each in (5.0, 10.0, 10.1, 99_999.0)))
    assert tally.latencies[:2] == [2, 1]
    assert tally.latencies[len(LATENCY_BUCKETS_MS)] == 1

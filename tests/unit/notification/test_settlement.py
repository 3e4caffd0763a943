"""The laws of the fold: what a round of attempts may and may not do to a row."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from modules.notification.internals.domain.backoff import Backoff
from modules.notification.internals.domain.lifecycle import TRANSITIONS
from modules.notification.internals.domain.settlement import (
    DeviceProgress,
    Fold,
    RowProgress,
    Settlement,
    conclude,
    lose_dispatched,
)
from modules.notification.types import (
    Classification,
    Outcome,
    OutcomePolicy,
    Status,
    TargetResult,
)

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
CAP_SECONDS = 600.0
APP = "default"
FOLD = Fold(Backoff(CAP_SECONDS), lambda: 0.5)
FREE_OF_CHARGE = (Outcome.THROTTLED, Outcome.MISCONFIGURED)

outcomes = st.sampled_from(Outcome)
policies = st.sampled_from(OutcomePolicy)


def make_result(
    device_id: str = "device-1", outcome: Outcome = Outcome.ACCEPTED, **over: Any
) -> TargetResult:
    verdict: dict[str, Any] = {"outcome": outcome, "code": outcome.name, "reason": f"was {outcome}"}
    accepted = outcome is Outcome.ACCEPTED
    return TargetResult(
        device_id=device_id,
        classification=Classification(**{**verdict, **over}),
        message_id=f"message-{device_id}" if accepted else None,
    )


def make_row(**over: Any) -> RowProgress:
    row: dict[str, Any] = {
        "devices": (),
        "retry_count": 0,
        "max_retries": 4,
        "outcome_policy": OutcomePolicy.AT_LEAST_ONCE,
        "retries_until_expiry": False,
        "expires_at": None,
    }
    return RowProgress(**{**row, **over})


def settle(row: RowProgress, *results: TargetResult, now: datetime = NOW, fold: Fold = FOLD) -> Settlement:
    ids = [result.device_id for result in results]
    known = [device.device_id for device in row.devices]
    return fold.settle(row, results, apps=dict.fromkeys(ids, APP), active_ids={*ids, *known}, now=now)


def after(row: RowProgress, settlement: Settlement) -> RowProgress:
    return replace(row, devices=settlement.devices, retry_count=settlement.retry_count)


@st.composite
def rounds(draw: st.DrawFn) -> tuple[RowProgress, list[Settlement]]:
    """A row on its way through rounds of attempts as the delivery code makes them, until it is done."""
    device_ids = [f"device-{number}" for number in range(1, draw(st.integers(1, 5)) + 1)]
    expires_in = draw(st.none() | st.floats(0.5, 5_000))
    row = make_row(
        max_retries=draw(st.integers(0, 4)),
        outcome_policy=draw(policies),
        retries_until_expiry=expires_in is not None and draw(st.booleans()),
        expires_at=None if expires_in is None else NOW + timedelta(seconds=expires_in),
    )
    start, now, settlements = row, NOW, []
    for _ in range(draw(st.integers(1, 12))):
        waiting = row.open_devices()
        ready = [
            each
            for each in device_ids
            if each not in row.settled_ids() and (each not in waiting or _is_ready(waiting[each], now))
        ]
        results = [
            make_result(
                each,
                draw(outcomes),
                retry_after_seconds=draw(st.none() | st.floats(0, 2_000)),
                min_backoff_seconds=draw(st.sampled_from([0.0, 10.0, 60.0])),
            )
            for each in ready
        ]
        active_ids = set(draw(st.lists(st.sampled_from(device_ids), unique=True))) | set(ready)
        fold = Fold(Backoff(CAP_SECONDS), lambda: draw(st.floats(0, 1)))
        settlement = fold.settle(
            row, results, apps=dict.fromkeys(device_ids, APP), active_ids=active_ids, now=now
        )
        settlements.append(settlement)
        if settlement.next_retry_at is None:
            break
        row, now = after(row, settlement), max(now, settlement.next_retry_at)
    return start, settlements


def _is_ready(device: DeviceProgress, now: datetime) -> bool:
    return device.not_before is not None and device.not_before <= now


@settings(max_examples=100)
@given(rounds())
def test_a_claimed_row_only_takes_allowed_steps(history: tuple[RowProgress, list[Settlement]]) -> None:
    for settlement in history[1]:
        assert settlement.status in TRANSITIONS[Status.PROCESSING]


@settings(max_examples=100)
@given(rounds())
def test_pending_means_a_next_retry_and_an_open_device(history: tuple[RowProgress, list[Settlement]]) -> None:
    for settlement in history[1]:
        waiting = [device.not_before for device in settlement.devices if device.not_before is not None]
        assert (settlement.status is Status.PENDING) == bool(waiting)
        assert settlement.next_retry_at == min(waiting, default=None)


@settings(max_examples=100)
@given(rounds())
def test_what_was_accepted_stays_accepted_and_is_never_sent_to_again(
    history: tuple[RowProgress, list[Settlement]],
) -> None:
    start, settlements = history
    accepted: dict[str, str | None] = {}
    for settlement in settlements:
        now_accepted = {
            device.device_id: device.message_id
            for device in settlement.devices
            if device.outcome is Outcome.ACCEPTED
        }
        assert accepted.items() <= now_accepted.items()
        assert now_accepted.keys() <= after(start, settlement).settled_ids()
        accepted = now_accepted


@settings(max_examples=100)
@given(rounds())
def test_no_row_waits_past_its_expiry(history: tuple[RowProgress, list[Settlement]]) -> None:
    start, settlements = history
    for settlement in settlements:
        if start.expires_at is not None and settlement.next_retry_at is not None:
            assert settlement.next_retry_at < start.expires_at


@settings(max_examples=100)
@given(rounds())
def test_retries_are_bounded(history: tuple[RowProgress, list[Settlement]]) -> None:
    start, settlements = history
    counts = [0, *(settlement.retry_count for settlement in settlements)]
    assert all(later - earlier in (0, 1) for earlier, later in itertools.pairwise(counts))
    if not start.retries_until_expiry:
        assert counts[-1] <= start.max_retries + 1


@settings(max_examples=100)
@given(rounds())
def test_sent_means_accepted_by_one(history: tuple[RowProgress, list[Settlement]]) -> None:
    for settlement in history[1]:
        accepted = any(device.outcome is Outcome.ACCEPTED for device in settlement.devices)
        if settlement.status is not Status.PENDING:
            assert (settlement.status is Status.SENT) == accepted


@given(st.lists(st.sampled_from(FREE_OF_CHARGE), min_size=1, max_size=4), st.integers(0, 9), policies)
def test_throttled_and_misconfigured_cost_no_retry(
    given_outcomes: list[Outcome], retry_count: int, policy: OutcomePolicy
) -> None:
    results = [make_result(f"device-{n}", outcome) for n, outcome in enumerate(given_outcomes)]
    row = make_row(retry_count=retry_count, max_retries=0, outcome_policy=policy)
    settlement = settle(row, *results)
    assert settlement.retry_count == retry_count
    assert settlement.status is Status.PENDING


def test_an_attempt_that_was_not_made_is_not_counted() -> None:
    settlement = settle(make_row(), make_result(outcome=Outcome.THROTTLED, attempted=False))
    assert settlement.devices[0].attempts == 0


def test_unknown_is_retried_under_at_least_once() -> None:
    settlement = settle(make_row(), make_result(outcome=Outcome.UNKNOWN))
    assert settlement.status is Status.PENDING
    assert settlement.retry_count == 1
    assert settlement.devices[0].unknown_attempts == 1


@given(st.booleans(), st.integers(0, 4))
def test_unknown_is_final_under_at_most_once(until_expiry: bool, retry_count: int) -> None:
    row = make_row(
        outcome_policy=OutcomePolicy.AT_MOST_ONCE,
        retry_count=retry_count,
        retries_until_expiry=until_expiry,
        expires_at=NOW + timedelta(hours=1),
    )
    settlement = settle(row, make_result(outcome=Outcome.UNKNOWN))
    assert settlement.status is Status.FAILED
    assert after(row, settlement).settled_ids() == {"device-1"}


@pytest.mark.parametrize("outcome", [Outcome.TRANSIENT, Outcome.UNKNOWN])
def test_every_device_gets_all_its_retries_whatever_happens_to_the_others(outcome: Outcome) -> None:
    """Five devices fail together and come back at five times: each is still tried 1 + max_retries times."""
    draws = iter([0.1, 0.9, 0.3, 0.7, 0.5] * 100)
    fold = Fold(Backoff(CAP_SECONDS), lambda: next(draws))
    row, now = make_row(), NOW
    ready = [f"device-{n}" for n in range(5)]
    status = Status.PENDING
    while status is Status.PENDING:
        settlement = settle(row, *(make_result(each, outcome) for each in ready), now=now, fold=fold)
        status, row = settlement.status, after(row, settlement)
        now = settlement.next_retry_at or now
        ready = [each for each, device in row.open_devices().items() if _is_ready(device, now)]
    assert status is Status.FAILED
    assert [device.attempts for device in row.devices] == [5] * 5
    assert row.retry_count == 5


def test_an_immediate_row_with_an_expiry_is_retried_past_max_retries() -> None:
    row = make_row(max_retries=0, retries_until_expiry=True, expires_at=NOW + timedelta(hours=1))
    assert settle(row, make_result(outcome=Outcome.TRANSIENT)).status is Status.PENDING


def test_a_retry_after_the_expiry_ends_the_row_as_expired() -> None:
    row = make_row(expires_at=NOW + timedelta(seconds=5))
    settlement = settle(row, make_result(outcome=Outcome.THROTTLED, retry_after_seconds=60.0))
    assert settlement.status is Status.EXPIRED
    assert settlement.error_type == "THROTTLED"


def test_a_row_whose_waiting_devices_expire_is_sent_when_another_accepted() -> None:
    row = make_row(expires_at=NOW + timedelta(seconds=5))
    settlement = settle(
        row,
        make_result("device-1", Outcome.ACCEPTED),
        make_result("device-2", Outcome.TRANSIENT, retry_after_seconds=60.0),
    )
    assert settlement.status is Status.SENT
    assert settlement.next_retry_at is None


def test_partial_success_waits_for_the_rest() -> None:
    settlement = settle(
        make_row(),
        make_result("ok", Outcome.ACCEPTED),
        make_result("dead", Outcome.TARGET_DEAD),
        make_result("later", Outcome.TRANSIENT),
    )
    assert settlement.status is Status.PENDING
    assert [device.device_id for device in settlement.devices if device.not_before] == ["later"]


def test_a_device_that_is_gone_is_not_waited_for() -> None:
    first = settle(make_row(), make_result("gone", Outcome.TRANSIENT))
    row = after(make_row(), first)
    settlement = FOLD.settle(row, [make_result("other")], apps={"other": APP}, active_ids={"other"}, now=NOW)
    assert settlement.status is Status.SENT


def test_the_worst_outcome_is_the_rows_error() -> None:
    settlement = settle(
        make_row(),
        make_result("device-1", Outcome.TARGET_DEAD),
        make_result("device-2", Outcome.PERMANENT),
    )
    assert (settlement.status, settlement.error_type) == (Status.FAILED, "PERMANENT")
    assert settlement.error_message == "was permanent"


@given(st.lists(st.sampled_from(["a", "b", "c"]), unique=True), outcomes)
def test_devices_of_a_lost_claim_are_unknown_and_final(dispatched: list[str], outcome: Outcome) -> None:
    former = settle(make_row(), make_result("a", outcome))
    row = after(make_row(outcome_policy=OutcomePolicy.AT_MOST_ONCE), former)
    lost = lose_dispatched(row, dispatched, dict.fromkeys(dispatched, APP), now=NOW)
    assert set(dispatched) <= lost.settled_ids()
    by_id = {device.device_id: device for device in lost.devices}
    for device_id in dispatched:
        was_final = device_id == "a" and former.devices[0].not_before is None
        assert by_id[device_id].outcome is (outcome if was_final else Outcome.UNKNOWN)


@given(st.lists(outcomes, min_size=1, max_size=5))
def test_concluding_without_open_devices_is_always_final(given_outcomes: list[Outcome]) -> None:
    results = [make_result(f"device-{n}", outcome) for n, outcome in enumerate(given_outcomes)]
    devices = tuple(replace(each, not_before=None) for each in settle(make_row(), *results).devices)
    settlement = conclude(make_row(), devices, retry_count=1)
    assume(settlement.next_retry_at is None)
    assert settlement.status in (Status.SENT, Status.FAILED)


UNREACHED = (Outcome.TRANSIENT, Outcome.THROTTLED)


@given(st.lists(st.sampled_from(UNREACHED), min_size=1, max_size=30))
def test_what_never_reached_the_provider_costs_no_retry(given_outcomes: list[Outcome]) -> None:
    row = make_row()
    for outcome in given_outcomes:
        settlement = settle(row, make_result(outcome=outcome, unreached=True))
        assert (settlement.status, settlement.retry_count) == (Status.PENDING, 0)
        row = after(row, settlement)


def test_patience_with_a_provider_counts_from_when_it_was_not_reached() -> None:
    fold = replace(FOLD, patience_seconds=100.0)
    lost = make_result(outcome=Outcome.TRANSIENT, unreached=True)
    row = after(make_row(), settle(make_row(), lost, fold=fold))
    put_off = make_result(outcome=Outcome.THROTTLED, attempted=False)
    row = after(row, settle(row, put_off, now=NOW + timedelta(seconds=90), fold=fold))
    settlement = settle(row, lost, now=NOW + timedelta(seconds=100), fold=fold)
    assert (settlement.status, settlement.error_type) == (Status.FAILED, "TRANSIENT")
    assert "not reached" in str(settlement.error_message)


def test_an_answer_of_the_provider_starts_the_patience_anew() -> None:
    fold = replace(FOLD, patience_seconds=100.0)
    lost = make_result(outcome=Outcome.TRANSIENT, unreached=True)
    row = after(make_row(), settle(make_row(), lost, fold=fold))
    answered = make_result(outcome=Outcome.TRANSIENT)
    row = after(row, settle(row, answered, now=NOW + timedelta(seconds=90), fold=fold))
    settlement = settle(row, lost, now=NOW + timedelta(seconds=150), fold=fold)
    assert (settlement.status, settlement.retry_count) == (Status.PENDING, 1)


def test_a_row_with_an_expiry_waits_for_the_provider_until_then() -> None:
    fold = replace(FOLD, patience_seconds=1.0)
    row = make_row(expires_at=NOW + timedelta(hours=1))
    lost = make_result(outcome=Outcome.TRANSIENT, unreached=True)
    row = after(row, settle(row, lost, fold=fold))
    assert settle(row, lost, now=NOW + timedelta(minutes=30), fold=fold).status is Status.PENDING
    assert settle(row, lost, now=NOW + timedelta(hours=1), fold=fold).status is Status.EXPIRED


def test_the_longer_a_provider_is_not_reached_the_longer_the_pauses() -> None:
    lost = make_result(outcome=Outcome.TRANSIENT, unreached=True, min_backoff_seconds=1.0)
    row = after(make_row(), settle(make_row(), lost))
    waits = []
    for seconds in (1, 10, 100, 1_000):
        now = NOW + timedelta(seconds=seconds)
        settlement = settle(row, lost, now=now)
        assert settlement.next_retry_at is not None
        waits.append((settlement.next_retry_at - now).total_seconds())
    assert waits == sorted(waits)
    assert waits[0] < 3 < 30 < waits[-1] <= CAP_SECONDS

"""A row on its way: what a second look leaves out, how it ends then, and what it must not forget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from modules.notification.internals.delivery.row_outcome import Ending, Round, ended, expired, nobody_ready
from modules.notification.internals.delivery.row_under_way import RowUnderWay, settled_row
from modules.notification.internals.domain.backoff import Backoff
from modules.notification.internals.domain.deferrals import UNREADABLE
from modules.notification.internals.domain.settlement import Fold, RowProgress
from modules.notification.internals.push_notification_writer import SettledRow
from modules.notification.internals.store.push_notification_model import PushNotificationModel
from modules.notification.types import (
    Classification,
    Outcome,
    OutcomePolicy,
    PushTarget,
    Status,
    TargetResult,
)
from tests.support.fcm_factories import make_targets
from tests.support.push_rows import make_device, make_document

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
FOLD = Fold(Backoff(600.0), lambda: 0.5)
PROGRESS = RowProgress(
    devices=(),
    retry_count=0,
    max_retries=4,
    outcome_policy=OutcomePolicy.AT_LEAST_ONCE,
    retries_until_expiry=False,
    expires_at=None,
)
OPTED_OUT = partial(ended, code="preference_opted_out", reason="not wanted", event="suppressed")
BROKEN = partial(ended, code="internal_error", reason="delivery failed", event="failed")
policies = pytest.mark.parametrize("policy", OutcomePolicy)
endings = pytest.mark.parametrize(
    ("conclude", "status", "code"),
    [
        (expired, Status.EXPIRED, "expired"),
        (OPTED_OUT, Status.FAILED, "preference_opted_out"),
        (BROKEN, Status.FAILED, "internal_error"),
    ],
)


def make_round(targets: Sequence[PushTarget], policy: OutcomePolicy = OutcomePolicy.AT_LEAST_ONCE) -> Round:
    row = PushNotificationModel.model_validate(make_document(outcome_policy=policy.value))
    progress = replace(PROGRESS, outcome_policy=policy)
    return Round(row, progress, targets, {}, frozenset(each.device_id for each in targets))


def make_ending(
    row: RowUnderWay, conclude: Callable[[PushNotificationModel, RowProgress], SettledRow]
) -> Ending:
    return Ending(row.round.row, row.round.progress, conclude)


def answer(row: RowUnderWay, target: PushTarget, outcome: Outcome) -> None:
    verdict = Classification(outcome=outcome, code=outcome.name, reason=f"was {outcome}")
    row.results.append((target, TargetResult(device_id=target.device_id, classification=verdict)))


def test_what_one_look_left_out_stays_out_for_whoever_sends_next() -> None:
    first, second = make_targets(2)
    row = RowUnderWay(make_round([first, second]), known_at=0.0)
    assert row.keep_reachable([first, second]) == [first, second]
    row.take_over(make_round([second]))
    assert row.keep_reachable([first]) == []
    assert row.keep_reachable([second]) == [second]
    assert row.results == []


def test_a_mark_of_what_is_not_sent_is_taken_back_by_an_outcome() -> None:
    [target] = make_targets(1)
    row = RowUnderWay(make_round([target], OutcomePolicy.AT_MOST_ONCE), known_at=0.0)
    row.take_over(make_round([], OutcomePolicy.AT_MOST_ONCE))
    assert row.keep_reachable([target]) == []
    assert [(each.device_id, result.classification.code) for each, result in row.results] == [
        (target.device_id, "GONE")
    ]
    assert not row.may_go_back()


def test_a_marked_row_whose_device_left_waits_for_who_came_in_its_place() -> None:
    left, came = make_targets(2)
    row = RowUnderWay(make_round([left], OutcomePolicy.AT_MOST_ONCE), known_at=0.0)
    row.take_over(make_round([came], OutcomePolicy.AT_MOST_ONCE))
    assert row.keep_reachable([left]) == []
    settlement = settled_row(row, FOLD, NOW).settlement
    assert (settlement.status, settlement.retry_count) == (Status.PENDING, 0)
    assert [each.device_id for each in settlement.devices if each.not_before] == [came.device_id]


@policies
@endings
def test_a_row_that_nothing_went_out_of_ends_as_the_second_look_found(
    conclude: Callable[[PushNotificationModel, RowProgress], SettledRow],
    status: Status,
    code: str,
    policy: OutcomePolicy,
) -> None:
    targets = make_targets(2)
    row = RowUnderWay(make_round(targets, policy), known_at=0.0)
    row.take_over(make_ending(row, conclude))
    assert row.keep_reachable(targets) == []
    settlement = settled_row(row, FOLD, NOW).settlement
    assert (settlement.status, settlement.error_type, settlement.devices) == (status, code, ())


@policies
@endings
@pytest.mark.parametrize("outcome", [Outcome.TRANSIENT, Outcome.ACCEPTED])
def test_a_row_that_a_portion_went_out_of_ends_so_unless_a_device_accepted(
    conclude: Callable[[PushNotificationModel, RowProgress], SettledRow],
    status: Status,
    code: str,
    outcome: Outcome,
    policy: OutcomePolicy,
) -> None:
    first, second = make_targets(2)
    row = RowUnderWay(make_round([first, second], policy), known_at=0.0)
    answer(row, first, outcome)
    row.take_over(make_ending(row, conclude))
    assert row.keep_reachable([second]) == []
    end = settled_row(row, FOLD, NOW)
    is_accepted = outcome is Outcome.ACCEPTED
    assert end.settlement.status is (Status.SENT if is_accepted else status)
    assert end.settlement.error_type == (None if is_accepted else code)
    assert [(each.outcome, each.not_before) for each in end.settlement.devices] == [(outcome, None)]
    assert end.detail.startswith(f"1 device(s) {outcome}")


@pytest.mark.parametrize(("active", "status"), [({"waiting"}, Status.PENDING), (set(), Status.FAILED)])
def test_devices_that_wait_for_their_time_are_waited_for_when_the_others_left(
    active: set[str], status: Status
) -> None:
    targets = make_targets(2)
    waiting = make_device(Outcome.THROTTLED, "waiting", not_before=LATER)
    round_ = make_round(targets)
    progress, there = replace(PROGRESS, devices=(waiting,)), round_.active_ids | {"waiting"}
    round_ = replace(round_, progress=progress, active_ids=there)
    for outcomes in ([], [Outcome.TRANSIENT]):
        row = RowUnderWay(round_, known_at=0.0)
        for target, outcome in zip(targets, outcomes, strict=False):
            answer(row, target, outcome)
        row.take_over(make_ending(row, partial(nobody_ready, active_ids=frozenset(active))))
        assert row.keep_reachable(targets) == []
        settlement = settled_row(row, FOLD, NOW).settlement
        assert (settlement.status, len(settlement.devices)) == (status, 1 + len(outcomes))
        assert {each.device_id for each in settlement.devices if each.not_before} == active
        assert settlement.next_retry_at == (LATER if active else None)


@policies
def test_what_is_unreadable_waits_for_another_version_and_spends_no_retry(policy: OutcomePolicy) -> None:
    first, second = make_targets(2)
    row = RowUnderWay(make_round([first, second], policy), known_at=0.0)
    answer(row, first, Outcome.ACCEPTED)
    row.take_over(None)
    assert row.is_unreadable
    row.put_off([second], UNREADABLE)
    assert not row.may_go_back()
    settlement = settled_row(row, FOLD, NOW).settlement
    assert (settlement.status, settlement.retry_count) == (Status.PENDING, 0)
    assert settlement.next_retry_at is not None
    assert settlement.next_retry_at - NOW >= timedelta(seconds=30)
    assert [each.device_id for each in settlement.devices if each.not_before] == [second.device_id]


@pytest.mark.parametrize(
    ("policy", "goes_back"), [(OutcomePolicy.AT_LEAST_ONCE, True), (OutcomePolicy.AT_MOST_ONCE, False)]
)
def test_an_unreadable_row_that_nothing_came_of_goes_back_unless_it_is_marked(
    policy: OutcomePolicy, goes_back: bool
) -> None:
    [target] = make_targets(1)
    row = RowUnderWay(make_round([target], policy), known_at=0.0)
    row.take_over(None)
    row.put_off([target], UNREADABLE)
    assert row.may_go_back() is goes_back

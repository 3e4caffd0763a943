"""A row on its way: what a second look leaves out, and what it must not forget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from modules.notification.internals.row_outcome import Round, ended
from modules.notification.internals.row_under_way import RowUnderWay
from modules.notification.internals.settlement import RowProgress, Settlement
from modules.notification.internals.store.push_notification_model import PushNotificationModel
from modules.notification.types import OutcomePolicy, PushTarget, Status
from tests.support.fcm_factories import make_targets
from tests.support.push_rows import make_document

PROGRESS = RowProgress(
    devices=(),
    retry_count=0,
    max_retries=4,
    outcome_policy=OutcomePolicy.AT_LEAST_ONCE,
    retries_until_expiry=False,
    expires_at=None,
)


def make_round(targets: Sequence[PushTarget], policy: OutcomePolicy = OutcomePolicy.AT_LEAST_ONCE) -> Round:
    row = PushNotificationModel.model_validate(make_document(outcome_policy=policy.value))
    return Round(row, PROGRESS, targets, {}, frozenset(each.device_id for each in targets))


def test_what_one_look_left_out_stays_out_for_whoever_sends_next() -> None:
    first, second = make_targets(2)
    row = RowUnderWay(make_round([first, second]), known_at=0.0)
    assert row.keep_reachable([first, second]) == [first, second]
    row.look(make_round([second]), None)
    assert row.keep_reachable([first]) == []
    assert row.keep_reachable([second]) == [second]
    assert row.results == []


def test_a_mark_of_what_is_not_sent_is_taken_back_by_an_outcome() -> None:
    [target] = make_targets(1)
    row = RowUnderWay(make_round([target], OutcomePolicy.AT_MOST_ONCE), known_at=0.0)
    row.look(make_round([], OutcomePolicy.AT_MOST_ONCE), None)
    assert row.keep_reachable([target]) == []
    assert [(each.device_id, result.classification.code) for each, result in row.results] == [
        (target.device_id, "GONE")
    ]
    assert not row.may_go_back()


@pytest.mark.parametrize(("status", "waits"), [(Status.PENDING, True), (Status.FAILED, False)])
def test_devices_that_wait_for_their_time_are_waited_for_when_the_others_left(
    status: Status, waits: bool
) -> None:
    targets = make_targets(2)
    row = RowUnderWay(make_round(targets), known_at=0.0)
    ending = ended(row.round.row, PROGRESS, "no_active_devices", "nobody", event="undeliverable")
    settlement = Settlement(
        status=status,
        devices=(),
        retry_count=0,
        next_retry_at=None,
        error_type=None,
        error_message=None,
    )
    row.look(None, replace(ending, settlement=settlement))
    assert bool(row.round.active_ids) is waits
    assert row.keep_reachable(targets) == []

"""What goes out for a row: it never lives longer than the row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from modules.notification.internals.delivery.row_outcome import FRESH_SECONDS, payload_of
from modules.notification.internals.store.push_notification_model import PushNotificationModel
from tests.support.push_rows import make_document

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


@given(left=st.floats(0.0, 2_419_200.0), delay=st.floats(0.0, FRESH_SECONDS))
def test_a_message_lives_no_longer_than_its_row_however_late_it_goes_out(left: float, delay: float) -> None:
    expires_at = NOW + timedelta(seconds=left)
    row = PushNotificationModel.model_validate(make_document(expires_at=expires_at))
    ttl = payload_of(row, NOW).ttl_seconds
    assert ttl is not None
    assert ttl == 0 or NOW + timedelta(seconds=delay + ttl) <= expires_at


def test_a_row_that_never_expires_leaves_it_to_the_provider() -> None:
    row = PushNotificationModel.model_validate(make_document())
    assert payload_of(row, NOW).ttl_seconds is None

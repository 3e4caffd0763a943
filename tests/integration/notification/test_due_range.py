"""A backlog is delivered by ranges of the scan: each row in exactly one of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from modules.notification.notification_service import NotificationService
from modules.notification.types import DueRow, Priority
from tests.support.push_service import PushService


def due_rows(service: PushService) -> tuple[DueRow, ...]:
    return service.loop_thread.run(NotificationService.due_page_async(limit=100)).rows


def deliver(service: PushService, after: DueRow | None, last: DueRow) -> dict[str, int]:
    return service.loop_thread.run(
        NotificationService.deliver_due_range_async(
            after=None if after is None else (after.due_at, after.notification_id),
            last=(last.due_at, last.notification_id),
            heartbeat=lambda: None,
        )
    )


def test_ranges_meet_without_gap_or_overlap_also_where_rows_are_due_at_one_moment(
    service: PushService,
) -> None:
    service.register()
    ids = [service.send() for _ in range(9)]
    moment = datetime.now(UTC) - timedelta(minutes=1)
    service.rows.update_many({}, {"$set": {"due_at": moment}})
    rows = due_rows(service)
    assert sorted(row.notification_id for row in rows) == sorted(ids)

    assert deliver(service, None, rows[3]) == {"sent": 4}
    assert [row.notification_id for row in due_rows(service)] == [row.notification_id for row in rows[4:]]
    assert deliver(service, rows[3], rows[8]) == {"sent": 5}
    assert due_rows(service) == ()
    assert len(service.accepted()) == 9


def test_a_repeated_range_sends_nothing_twice(service: PushService) -> None:
    service.register()
    for _ in range(3):
        service.send()
    rows = due_rows(service)
    assert deliver(service, None, rows[-1]) == {"sent": 3}
    assert deliver(service, None, rows[-1]) == {}
    assert len(service.accepted()) == 3


def test_immediate_rows_are_left_to_their_own_workers(service: PushService) -> None:
    service.register()
    service.send()
    immediate = service.send()
    service.rows.update_one(
        {"_id": service.stored(immediate)["_id"]}, {"$set": {"priority": Priority.IMMEDIATE.value}}
    )
    rows = due_rows(service)
    assert deliver(service, None, rows[-1]) == {"sent": 1}
    assert service.stored(immediate)["status"] == "pending"

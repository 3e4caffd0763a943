"""The service as its callers meet it: from plain code, under a loop, with bad input, without Temporal."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import pytest
import time_machine

from modules.application.errors import InvalidInputError, NotBootstrappedError, ServiceError, UnavailableError
from modules.notification.errors import (
    IdempotencyKeyConflictError,
    ImmediateSendDeferredError,
    PushNotificationNotCancellableError,
    PushNotificationNotFoundError,
)
from modules.notification.notification_service import NotificationService
from modules.notification.types import Priority, PushNotification, Status
from tests.support.push_service import ACCOUNT, PushService, make_params

HOUR = timedelta(hours=1)


class TestCalling:
    def test_works_from_plain_code(self, service: PushService) -> None:
        service.register()
        notification_id = NotificationService.send_push_for_account(
            account_id=ACCOUNT, params=make_params(), immediate=True
        )
        assert service.read(notification_id).status is Status.SENT
        assert len(service.accepted()) == 1

    async def test_works_under_a_running_loop(self, service: PushService) -> None:
        await asyncio.to_thread(service.register)
        notification_id = NotificationService.send_push_for_account(
            account_id=ACCOUNT, params=make_params(), immediate=True
        )
        assert NotificationService.get_push_notification(notification_id=notification_id).status == "sent"

    async def test_has_an_async_twin(self, service: PushService) -> None:
        await asyncio.to_thread(service.register)
        ids = await asyncio.gather(
            *(
                NotificationService.send_push_for_account_async(
                    account_id=ACCOUNT, params=make_params(), immediate=True
                )
                for _ in range(10)
            )
        )
        for notification_id in ids:
            row = await NotificationService.get_push_notification_async(notification_id=notification_id)
            assert row.status is Status.SENT

    async def test_the_async_twin_leaves_the_callers_loop_free(self, service: PushService) -> None:
        service.register("ok+delay=300")
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        await NotificationService.send_push_for_account_async(
            account_id=ACCOUNT, params=make_params(), immediate=True
        )
        ticking.cancel()
        assert ticks > 50

    def test_a_plain_call_on_the_services_own_loop_is_refused_not_stuck(self, service: PushService) -> None:
        async def plain_call() -> None:
            NotificationService.get_push_notification(notification_id="0" * 24)

        with pytest.raises(ServiceError) as error:
            service.loop_thread.run(plain_call())
        assert error.value.code == "would_deadlock"

    def test_before_bootstrap_every_call_says_so(self) -> None:
        with pytest.raises(NotBootstrappedError):
            NotificationService.send_push_for_account(account_id=ACCOUNT, params=make_params())

    def test_a_normal_row_is_left_to_the_scan(self, service: PushService) -> None:
        notification_id = service.send(correlation_id="order-7")
        row = service.read(notification_id)
        assert (row.status, row.priority, row.correlation_id) == (Status.PENDING, Priority.NORMAL, "order-7")
        assert service.run_now.asked == []

    def test_a_mapping_that_is_no_dict_is_taken(self, service: PushService) -> None:
        notification_id = service.send(data=MappingProxyType({"k": "v"}))
        assert service.stored(notification_id)["data"] == {"k": "v"}


class TestExpiresAt:
    def test_a_time_without_a_zone_is_this_hosts(self, service: PushService) -> None:
        naive = datetime.now().replace(microsecond=0) + HOUR
        row = service.read(service.send(expires_at=naive))
        assert row.expires_at == naive.astimezone(UTC)

    def test_an_aware_time_is_kept(self, service: PushService) -> None:
        aware = datetime.now(UTC).replace(microsecond=0) + HOUR
        assert service.read(service.send(expires_at=aware)).expires_at == aware

    def test_a_time_that_has_passed_is_refused(self, service: PushService) -> None:
        with pytest.raises(InvalidInputError) as error:
            service.send(expires_at=datetime.now(UTC) - HOUR)
        assert error.value.field == "expires_at"
        assert service.rows.count_documents({}) == 0


def assert_expires_after(row: PushNotification, time: timedelta) -> None:
    """The database's clock was asked when the request was checked, a moment before it was written."""
    assert row.expires_at is not None
    assert time - timedelta(seconds=5) < row.expires_at - row.created_at <= time


class TestExpiresIn:
    def test_how_long_is_reckoned_on_the_databases_clock(self, service: PushService) -> None:
        with time_machine.travel(datetime.now(UTC) + timedelta(days=3)):
            notification_id = service.send(expires_in=HOUR)
        assert_expires_after(service.read(notification_id), HOUR)

    def test_a_repeated_request_keeps_the_first_expiry(self, service: PushService) -> None:
        first = service.send(idempotency_key="key", expires_in=HOUR)
        assert service.send(idempotency_key="key", expires_in=2 * HOUR) == first
        assert_expires_after(service.read(first), HOUR)

    def test_both_at_once_are_refused(self, service: PushService) -> None:
        with pytest.raises(InvalidInputError) as error:
            service.send(expires_in=HOUR, expires_at=datetime.now(UTC) + HOUR)
        assert (error.value.code, error.value.field) == ("conflict", "expires_in")
        assert service.rows.count_documents({}) == 0


BAD_CALLS: list[tuple[dict[str, Any], str]] = [
    ({"account_id": ""}, "account_id"),
    ({"account_id": 7}, "account_id"),
    ({"title": ""}, "title"),
    ({"body": "   "}, "body"),
    ({"data": {"count": 1}}, "data"),
    ({"data": {"from": "x"}}, "data"),
    ({"data": {"k": "é" * 4_000}}, ""),
    ({"image_url": "http://example.com/a.png"}, "image_url"),
    ({"category": "No Such Category!"}, "category"),
    ({"idempotency_key": ""}, "idempotency_key"),
    ({"idempotency_key": "k" * 256}, "idempotency_key"),
    ({"correlation_id": "line\nbreak"}, "correlation_id"),
    ({"expires_at": "tomorrow"}, "expires_at"),
    ({"expires_in": timedelta(0)}, "expires_in"),
]


class TestBadInput:
    @pytest.mark.parametrize(
        ("call", "field"), BAD_CALLS, ids=[str(number) for number in range(len(BAD_CALLS))]
    )
    @pytest.mark.parametrize("immediate", [False, True])
    def test_is_refused_with_code_field_and_reason_and_writes_nothing(
        self, service: PushService, call: dict[str, Any], field: str, immediate: bool
    ) -> None:
        with pytest.raises(InvalidInputError) as error:
            service.send(**{**call, "immediate": immediate})
        fields = [problem.field or "" for problem in error.value.problems]
        assert any(field in each for each in fields), fields
        assert all(problem.code and problem.reason for problem in error.value.problems)
        assert service.rows.count_documents({}) == 0
        assert service.run_now.asked == []

    def test_everything_that_is_wrong_is_said_at_once(self, service: PushService) -> None:
        with pytest.raises(InvalidInputError) as error:
            service.send(account_id="", title="", body="", idempotency_key="", image_url="ftp://x")
        assert {problem.field for problem in error.value.problems} >= {
            "account_id",
            "title",
            "body",
            "idempotency_key",
            "image_url",
        }

    def test_params_of_another_type_are_refused(self, service: PushService) -> None:
        with pytest.raises(InvalidInputError):
            NotificationService.send_push_for_account(
                account_id=ACCOUNT,
                params={"title": "t", "body": "b"},  # type: ignore[arg-type]
            )
        assert service.rows.count_documents({}) == 0


class TestIdempotency:
    def test_a_hundred_parallel_calls_make_one_row_and_one_send(self, service: PushService) -> None:
        service.register()
        with ThreadPoolExecutor(100) as threads:
            ids = set(threads.map(lambda _: service.send(idempotency_key="key", immediate=True), range(100)))
        assert len(ids) == 1
        assert service.rows.count_documents({}) == 1
        assert len(service.accepted()) == 1

    def test_a_repeated_call_gets_the_first_id_and_sends_nothing(self, service: PushService) -> None:
        service.register()
        first = service.send(idempotency_key="key", immediate=True)
        assert service.send(idempotency_key="key", immediate=True) == first
        assert service.run_now.asked == [first]

    def test_a_call_repeated_after_its_expiry_gets_the_first_id(self, service: PushService) -> None:
        first = service.send(idempotency_key="key", expires_at=datetime.now(UTC) + timedelta(hours=1))
        past = datetime.now(UTC) - timedelta(minutes=1)
        assert service.send(idempotency_key="key", expires_at=past) == first
        for over in ({"idempotency_key": "new"}, {"idempotency_key": None}):
            with pytest.raises(InvalidInputError) as error:
                service.send(**over, expires_at=past)
            assert [problem.code for problem in error.value.problems] == ["expired"]
        with pytest.raises(IdempotencyKeyConflictError):
            service.send(idempotency_key="key", expires_at=past, body="Other")
        assert service.rows.count_documents({}) == 1

    def test_the_same_key_with_other_content_is_refused_and_sends_nothing(self, service: PushService) -> None:
        service.register()
        first = service.send(idempotency_key="key", immediate=True)
        with pytest.raises(IdempotencyKeyConflictError) as error:
            service.send(idempotency_key="key", immediate=True, body="Other")
        assert (error.value.code, error.value.field) == ("idempotency_key_conflict", "idempotency_key")
        assert service.run_now.asked == [first]


class TestWithoutTemporal:
    def test_the_row_is_kept_the_caller_gets_its_id_and_the_scan_delivers_it(
        self, service: PushService
    ) -> None:
        service.register()
        service.run_now.failure = UnavailableError(code="temporal_unavailable", reason="down")
        with pytest.raises(ImmediateSendDeferredError) as error:
            service.send(immediate=True)
        notification_id = error.value.notification_id
        assert error.value.code == "temporal_unavailable"
        assert service.read(notification_id).status is Status.PENDING
        due = service.loop_thread.run(NotificationService.due_page_async(after=None, until=None, limit=10))
        assert [row.notification_id for row in due.rows] == [notification_id]
        assert service.deliver(notification_id)[0].status is Status.SENT


class TestReading:
    @pytest.mark.parametrize("notification_id", ["nothing", "0" * 24])
    def test_an_unknown_id_is_not_found(self, service: PushService, notification_id: str) -> None:
        for call in (
            NotificationService.get_push_notification,
            NotificationService.cancel_push_notification,
            NotificationService.get_timeline,
        ):
            with pytest.raises(PushNotificationNotFoundError):
                call(notification_id=notification_id)

    def test_the_newest_are_listed_first(self, service: PushService) -> None:
        ids = [service.send() for _ in range(3)]
        service.send(account_id="other")
        listed = NotificationService.list_push_notifications(account_id=ACCOUNT)
        assert [row.id for row in listed] == ids[::-1]
        assert len(NotificationService.list_push_notifications(account_id=ACCOUNT, limit=2)) == 2

    @pytest.mark.parametrize("limit", [0, 501, True, "5", 2.5])
    def test_a_limit_out_of_range_is_refused(self, service: PushService, limit: Any) -> None:
        with pytest.raises(InvalidInputError) as error:
            NotificationService.list_push_notifications(account_id=ACCOUNT, limit=limit)
        assert error.value.field == "limit"

    @pytest.mark.parametrize(
        "before", ["now", datetime.min, datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))]
    )
    def test_a_moment_that_cannot_be_reckoned_with_is_refused(
        self, service: PushService, before: Any
    ) -> None:
        with pytest.raises(InvalidInputError) as error:
            NotificationService.list_push_notifications(account_id=ACCOUNT, before=before)
        assert error.value.field == "before"

    def test_a_moment_without_a_zone_is_local_time(self, service: PushService) -> None:
        notification_id = service.send()
        for before, found in ((-HOUR, []), (HOUR, [notification_id])):
            moment = datetime.now() + before
            listed = NotificationService.list_push_notifications(account_id=ACCOUNT, before=moment)
            assert [row.id for row in listed] == found

    def test_the_timeline_tells_what_happened_in_order(self, service: PushService) -> None:
        service.register("UNAVAILABLE*1")
        notification_id = service.send()
        service.deliver(notification_id)
        service.make_due(notification_id)
        service.deliver(notification_id)
        timeline = NotificationService.get_timeline(notification_id=notification_id)
        assert [entry.event for entry in timeline] == [
            "accepted",
            "claimed",
            "attempted",
            "retry_planned",
            "claimed",
            "attempted",
        ]
        assert "UNAVAILABLE" in timeline[2].detail
        assert list(timeline) == sorted(timeline, key=lambda entry: entry.at)

    def test_no_address_is_shown(self, service: PushService) -> None:
        device = service.register("UNREGISTERED")
        notification_id = service.send()
        service.deliver(notification_id)
        assert device.address not in repr(service.read(notification_id))


class TestCancelling:
    def test_a_pending_row_is_never_sent(self, service: PushService) -> None:
        service.register()
        notification_id = service.send()
        cancelled = NotificationService.cancel_push_notification(notification_id=notification_id)
        assert (cancelled.active, cancelled.status) == (False, Status.PENDING)
        (report,) = service.deliver(notification_id)
        assert (report.note, report.retry_in_seconds) == ("cancelled", None)
        assert service.accepted() == []

    def test_what_is_done_cannot_be_cancelled(self, service: PushService) -> None:
        service.register()
        sent = service.send(immediate=True)
        with pytest.raises(PushNotificationNotCancellableError, match="sent"):
            NotificationService.cancel_push_notification(notification_id=sent)

    def test_cancelling_again_gives_the_cancelled_row(self, service: PushService) -> None:
        notification_id = service.send()
        first = NotificationService.cancel_push_notification(notification_id=notification_id)
        assert NotificationService.cancel_push_notification(notification_id=notification_id) == first
        assert [entry.event for entry in first.timeline] == ["accepted", "cancelled"]

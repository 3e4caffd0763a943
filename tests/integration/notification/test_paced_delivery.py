"""What waits for its permit: a row is looked at again before each message goes out."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from pymongo.collection import Collection

from local_stack.local_stack_service import LocalStack
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import DeviceState
from modules.notification.internals.push_notification_reader import row_ids_of
from modules.notification.notification_service import NotificationService
from modules.notification.types import DeliveryReport, OutcomePolicy, SendingStop, Status
from modules.preference.preference_service import PreferenceService
from tests.support.push_rows import Document
from tests.support.push_service import ACCOUNT, PushService, push_service
from tests.support.servers import eventually

# One message goes out at once, then one in 0.7 s: a tenth is kept for immediate ones.
SLOW = {"RATE_QUOTA_PER_MINUTE": "90", "RATE_RAMP_SECONDS": "0"}
ROWS = 6


@pytest.fixture
def slow(stack: LocalStack, database_name: str) -> Iterator[PushService]:
    with push_service(stack, database_name, **SLOW) as service:
        yield service


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def accounts(service: PushService) -> list[str]:
    """Accounts with a device each, and who they are."""
    names = [f"account-{number}" for number in range(ROWS)]
    for name in names:
        service.register(account_id=name)
    return names


def begun(
    service: PushService, beside: ThreadPoolExecutor, ids: list[str], *, sent: int = 1
) -> Future[list[DeliveryReport]]:
    """A delivery of which so many messages are out, while the others wait for their permit."""
    reports = beside.submit(service.deliver, *ids)
    eventually(lambda: len(service.accepted()) >= sent)
    return reports


def late(service: PushService, left_at: datetime) -> list[str]:
    """What went out more than a second after `left_at`."""
    moment = left_at + timedelta(seconds=1)
    return [entry["target"] for entry in service.accepted() if datetime.fromisoformat(entry["at"]) > moment]


def test_a_page_goes_out_however_slow_the_rate(slow: PushService, beside: ThreadPoolExecutor) -> None:
    ids = [slow.send(account_id=name) for name in accounts(slow)]
    begun(slow, beside, ids)
    first = slow.stored(ids[0])
    eventually(lambda: slow.stored(ids[0])["status"] == "sent")
    assert {slow.stored(each)["status"] for each in ids[2:]} == {"processing"}, "recorded as it goes"
    eventually(lambda: all(slow.stored(each)["status"] == "sent" for each in ids))
    assert len(slow.accepted()) == ROWS
    assert first["fence"] == 1


def test_a_refusal_is_judged_by_what_others_answer_later(slow: PushService) -> None:
    """Its own portion says nothing yet: it waits for those that come after."""
    malformed = slow.register("400", account_id="malformed")
    ids = [slow.send(account_id="malformed")]
    for name in ("first", "second"):
        slow.register(account_id=name)
        ids.append(slow.send(account_id=name))
    reports = slow.deliver(*ids)
    assert [report.status for report in reports] == [Status.FAILED, Status.SENT, Status.SENT]
    assert slow.devices("malformed")[malformed.id].state is DeviceState.QUARANTINED


@pytest.mark.parametrize("policy", OutcomePolicy)
def test_devices_that_moved_to_another_account_get_nothing_of_the_first(
    slow: PushService, beside: ThreadPoolExecutor, policy: OutcomePolicy
) -> None:
    names = accounts(slow)
    ids = [slow.send(account_id=name, outcome_policy=policy) for name in names]
    reports = begun(slow, beside, ids)
    for device in [device for name in names for device in slow.devices(name).values()]:
        DeviceTokenService.register_device(
            account_id="someone-else", platform=device.platform, kind=device.kind, address=device.address
        )
    left_at = datetime.now(UTC)
    ended = reports.result()
    assert late(slow, left_at) == []
    assert ended[-1].status is Status.FAILED
    assert ended[-1].note == "no_active_devices"


@pytest.mark.parametrize("policy", OutcomePolicy)
def test_who_logged_out_or_opted_out_meanwhile_gets_nothing(
    slow: PushService, beside: ThreadPoolExecutor, policy: OutcomePolicy
) -> None:
    names = accounts(slow)
    ids = [slow.send(account_id=name, category="offers", outcome_policy=policy) for name in names]
    reports = begun(slow, beside, ids)
    for name in names[::2]:
        for device in slow.devices(name).values():
            DeviceTokenService.deactivate_device(account_id=name, device_id=device.id)
    for name in names[1::2]:
        PreferenceService.set_preference(account_id=name, category="offers", allowed=False)
    left_at = datetime.now(UTC)
    ended = reports.result()
    assert late(slow, left_at) == []
    assert {report.note for report in ended[-2:]} == {"no_active_devices", "preference_opted_out"}


@pytest.mark.parametrize("policy", OutcomePolicy)
def test_who_comes_in_the_place_of_a_device_that_left_is_told(
    slow: PushService, beside: ThreadPoolExecutor, policy: OutcomePolicy
) -> None:
    names = accounts(slow)
    ids = [slow.send(account_id=name, outcome_policy=policy) for name in names]
    reports = begun(slow, beside, ids)
    for device in slow.devices(names[-1]).values():
        DeviceTokenService.deactivate_device(account_id=names[-1], device_id=device.id)
    new = slow.register(account_id=names[-1])
    assert reports.result()[-1].status is Status.PENDING
    slow.make_due(ids[-1])
    assert slow.deliver(ids[-1])[0].status is Status.SENT
    assert [entry["target"] for entry in slow.accepted()].count(new.address) == 1
    assert len(slow.accepted()) == ROWS


@pytest.mark.parametrize("policy", OutcomePolicy)
def test_nothing_goes_out_past_its_expiry(
    slow: PushService, beside: ThreadPoolExecutor, policy: OutcomePolicy
) -> None:
    expires_at = datetime.now(UTC) + timedelta(seconds=2.5)
    ids = [
        slow.send(account_id=name, expires_at=expires_at, outcome_policy=policy) for name in accounts(slow)
    ]
    ended = begun(slow, beside, ids).result()
    assert ended[0].status is Status.SENT
    assert ended[-1].status is Status.EXPIRED
    assert slow.stored(ids[-1])["error_type"] == "expired"
    for entry in slow.accepted():
        assert datetime.fromisoformat(entry["at"]) <= expires_at


@pytest.mark.parametrize("policy", OutcomePolicy)
@pytest.mark.parametrize(
    ("instruction", "status", "code"),
    [("", Status.SENT, None), ("UNAVAILABLE", Status.EXPIRED, "expired")],
)
def test_a_row_that_expires_between_its_portions_ends_by_what_came_before(
    stack: LocalStack,
    database_name: str,
    instruction: str,
    status: Status,
    code: str | None,
    policy: OutcomePolicy,
) -> None:
    over = {**SLOW, "DELIVERY_BREAKER_FAILURE_THRESHOLD": "1000"}
    with push_service(stack, database_name, **over) as service:
        for _ in range(2 * ROWS):
            service.register(instruction)
        notification_id = service.send(expires_in=timedelta(seconds=3), outcome_policy=policy)
        (report,) = service.deliver(notification_id)
        row = service.stored(notification_id)
        assert 0 < sum(device["attempts"] for device in row["devices"]) < 2 * ROWS
        assert (report.status, row["error_type"]) == (status, code)
        assert row["next_retry_at"] is None
        assert row["events"][-1]["event"] == "expired"


@pytest.fixture
def newer(slow: PushService) -> Iterator[Collection[Document]]:
    """Preferences as a newer version may write them: past what this one's validator allows."""
    database = slow.rows.database
    database.command("collMod", "preferences", validator={})
    yield database["preferences"]


@pytest.mark.parametrize("policy", OutcomePolicy)
def test_what_becomes_unreadable_between_portions_waits_for_another_version(
    slow: PushService, beside: ThreadPoolExecutor, newer: Collection[Document], policy: OutcomePolicy
) -> None:
    devices = [slow.register() for _ in range(ROWS)]
    PreferenceService.set_preference(account_id=ACCOUNT, category="news", allowed=True)
    notification_id = slow.send(outcome_policy=policy)
    reports = begun(slow, beside, [notification_id])
    newer.update_one({"_id": ACCOUNT}, {"$set": {"quiet_hours": "22-6"}})
    (report,) = reports.result()
    assert (report.status, 0 < len(slow.accepted()) < ROWS) == (Status.PENDING, True)
    assert report.retry_in_seconds == pytest.approx(32, abs=4)
    row = slow.stored(notification_id)
    assert (row["status"], row["retry_count"], row["lost_claims"]) == ("pending", 0, 0)
    newer.update_one({"_id": ACCOUNT}, {"$unset": {"quiet_hours": ""}})
    slow.make_due(notification_id)
    assert slow.deliver(notification_id)[0].status is Status.SENT
    told = sorted(entry["target"] for entry in slow.accepted())
    assert told == sorted(device.address for device in devices), "each of them once"


@pytest.mark.parametrize("policy", OutcomePolicy)
def test_what_becomes_unreadable_before_its_first_message_is_let_go(
    slow: PushService, beside: ThreadPoolExecutor, newer: Collection[Document], policy: OutcomePolicy
) -> None:
    names = accounts(slow)
    PreferenceService.set_preference(account_id=names[-1], category="news", allowed=True)
    ids = [slow.send(account_id=name, outcome_policy=policy) for name in names]
    reports = begun(slow, beside, ids)
    newer.update_one({"_id": names[-1]}, {"$set": {"quiet_hours": "22-6"}})
    *others, report = reports.result()
    assert {other.status for other in others} == {Status.SENT}
    assert report.status is Status.PENDING
    assert report.retry_in_seconds == pytest.approx(32, abs=4)
    row = slow.stored(ids[-1])
    assert (row["status"], row["retry_count"], row["lost_claims"]) == ("pending", 0, 0)
    assert any("cannot read" in event["detail"] for event in row["events"])
    newer.update_one({"_id": names[-1]}, {"$unset": {"quiet_hours": ""}})
    slow.make_due(ids[-1])
    assert slow.deliver(ids[-1])[0].status is Status.SENT
    assert len(slow.accepted()) == ROWS


def test_only_what_is_about_to_go_is_marked_as_perhaps_sent(
    slow: PushService, beside: ThreadPoolExecutor
) -> None:
    ids = [slow.send(account_id=name, outcome_policy=OutcomePolicy.AT_MOST_ONCE) for name in accounts(slow)]
    reports = begun(slow, beside, ids)
    assert slow.stored(ids[-1])["claim"]["dispatched"] == []
    assert {report.status for report in reports.result()} == {Status.SENT}
    assert len(slow.accepted()) == ROWS


class Switch(SendingStop):
    """A wish that a test takes back, known at once or only by looking."""

    def __init__(self, *, is_told: bool) -> None:
        self.is_told = is_told
        self.stopped = self._known = False

    def is_set(self) -> bool:
        return self._known or (self.is_told and self.stopped)

    async def look(self) -> bool:
        self._known = self._known or self.stopped
        return self._known


@pytest.mark.parametrize("is_told", [True, False])
def test_what_is_stopped_goes_back_as_it_was(
    slow: PushService, beside: ThreadPoolExecutor, is_told: bool
) -> None:
    ids = [slow.send(account_id=name) for name in accounts(slow)]
    stop = Switch(is_told=is_told)
    reports = beside.submit(
        slow.loop_thread.run,
        NotificationService._on_core(lambda core: core.delivery.deliver(row_ids_of(ids), stop=stop)),
    )
    eventually(lambda: len(slow.accepted()) >= 1)
    stop.stopped = True
    stopped_at = datetime.now(UTC)
    assert reports.result()[-1].status is Status.PENDING
    assert late(slow, stopped_at) == []
    row = slow.stored(ids[-1])
    assert (row["status"], row["devices"], row["lost_claims"]) == ("pending", [], 0)
    assert "claim" not in row


def test_a_slow_provider_is_not_sent_what_has_become_old(
    stack: LocalStack, database_name: str, beside: ThreadPoolExecutor
) -> None:
    """Two at a time, each answered after a second: the last would go out on what was known at the first."""
    over = {"FCM_MAX_CONCURRENT_REQUESTS": "2"}
    with push_service(stack, database_name, **over) as service:
        names = [f"account-{number}" for number in range(ROWS)]
        for name in names:
            service.register("ok+delay=1000", account_id=name)
        ids = [service.send(account_id=name) for name in names]
        reports = begun(service, beside, ids)
        for name in names:
            for device in service.devices(name).values():
                DeviceTokenService.deactivate_device(account_id=name, device_id=device.id)
        left_at = datetime.now(UTC)
        ended = reports.result()
        assert late(service, left_at) == []
        assert ended[-1].note == "no_active_devices"


def test_a_pause_that_another_process_keeps_is_kept_by_the_first_send_of_a_quiet_one(
    stack: LocalStack, database_name: str
) -> None:
    with push_service(stack, database_name) as service:
        service.register()
        now = datetime.now(UTC)
        service.rows.database["provider_rates"].insert_one(
            {
                "_id": "default",
                "version": 1,
                "refilled_at": now,
                "free": 10.0,
                "reserve": 10.0,
                "flows": [],
                "ramp_started_at": now,
                "busy_at": now,
                "trickle_until": now,
                "paused_until": now + timedelta(seconds=50),
                "pause_code": "QUOTA_EXCEEDED",
            }
        )
        notification_id = service.send(immediate=True)
        row = service.stored(notification_id)
        assert service.accepted() == []
        assert (row["status"], row["retry_count"], row["error_type"]) == ("pending", 0, "PROVIDER_PAUSED")
        assert row["next_retry_at"] > now + timedelta(seconds=40)


@pytest.mark.parametrize("immediate", [True, False])
def test_what_never_reached_the_provider_costs_no_retry(
    stack: LocalStack, database_name: str, immediate: bool
) -> None:
    over = {"FCM_ENDPOINT": "https://127.0.0.1:9", "DELIVERY_BREAKER_FAILURE_THRESHOLD": "1000"}
    with push_service(stack, database_name, **over) as service:
        service.register()
        notification_id = service.send(immediate=immediate)
        for _ in range(8):
            (report,) = service.deliver(notification_id)
            assert report.status is Status.PENDING
            service.make_due(notification_id)
        row = service.stored(notification_id)
        assert (row["retry_count"], row["error_type"]) == (0, "CONNECT_FAILED")


def test_patience_with_a_provider_that_is_never_reached_ends_with_a_reason(
    stack: LocalStack, database_name: str
) -> None:
    over = {
        "FCM_ENDPOINT": "https://127.0.0.1:9",
        "DELIVERY_PATIENCE_IMMEDIATE_SECONDS": "0.2",
        "DELIVERY_BREAKER_FAILURE_THRESHOLD": "1000",
    }
    with push_service(stack, database_name, **over) as service:
        service.register()
        urgent, normal = service.send(immediate=True), service.send()

        def given_up() -> bool:
            (report,) = service.deliver(urgent)
            if report.status is Status.PENDING:
                service.make_due(urgent)
            return report.status is Status.FAILED

        eventually(given_up)
        assert "not reached" in str(service.stored(urgent)["error_message"])
        assert service.deliver(normal)[0].status is Status.PENDING

"""Delivery with the real MongoDB and the FCM protocol: what becomes of a row, and what the provider saw."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from local_stack.local_stack_service import LocalStack
from modules.device_token.device_token_service import DeviceTokenService
from modules.device_token.types import DeviceState
from modules.notification.internals.store.push_notification_model import PushNotificationModel
from modules.notification.notification_service import NotificationService
from modules.notification.types import Outcome, OutcomePolicy, SendPushParams, Status
from modules.preference.preference_service import PreferenceService
from tests.support.push_service import ACCOUNT, PushService, push_service
from tests.support.servers import eventually

HOUR = timedelta(hours=1)


def test_a_row_goes_to_every_device_of_the_account(service: PushService) -> None:
    devices = [service.register() for _ in range(3)]
    service.register(account_id="someone-else")
    notification_id = service.send(data={"a.b": "x", "where": "$title"})
    (report,) = service.deliver(notification_id)
    assert (report.status, report.accepted, report.failed) == (Status.SENT, 3, 0)
    accepted = service.accepted()
    assert {entry["target"] for entry in accepted} == {device.address for device in devices}
    document = service.stored(notification_id)
    assert sorted(document["provider_message_ids"]) == sorted(entry["message_id"] for entry in accepted)
    assert sorted(document["device_tokens_used"]) == sorted(device.address for device in devices)
    assert document["data"] == {"a.b": "x", "where": "$title"}


def test_only_what_can_still_arrive_is_tried_again(service: PushService) -> None:
    good, dead, later = (service.register(each) for each in ("", "UNREGISTERED", "UNAVAILABLE*1"))
    notification_id = service.send()
    (report,) = service.deliver(notification_id)
    assert (report.status, report.accepted, report.failed) == (Status.PENDING, 1, 2)
    first = service.read(notification_id)
    assert first.next_retry_at is not None
    assert {each.device_id: each.outcome for each in first.devices} == {
        good.id: Outcome.ACCEPTED,
        dead.id: Outcome.TARGET_DEAD,
        later.id: Outcome.TRANSIENT,
    }
    retired = service.devices()[dead.id]
    assert (retired.state, retired.state_reason) == (DeviceState.INACTIVE, "UNREGISTERED")

    refusals = service.simulator.stats()["last_refusal"]
    service.make_due(notification_id)
    (report,) = service.deliver(notification_id)
    assert (report.status, report.accepted, report.failed) == (Status.SENT, 2, 1)
    assert [entry["target"] for entry in service.accepted()] == [good.address, later.address]
    assert service.simulator.refusals(refusals) == [], "nothing went to the dead device"
    assert service.stored(notification_id)["invalid_tokens"] == [dead.address]
    assert service.devices()[dead.id].version == retired.version, "deactivated once"


def test_a_bad_request_is_final_and_keeps_the_device(service: PushService) -> None:
    device = service.register("400")
    notification_id = service.send()
    (report,) = service.deliver(notification_id)
    assert (report.status, report.note) == (Status.FAILED, "INVALID_ARGUMENT")
    assert service.devices()[device.id].state is DeviceState.ACTIVE
    assert service.stored(notification_id)["invalid_tokens"] == []


def test_a_token_that_the_provider_names_as_malformed_is_quarantined(service: PushService) -> None:
    device = service.register("INVALID_ARGUMENT")
    notification_id = service.send()
    (report,) = service.deliver(notification_id)
    assert (report.status, report.note) == (Status.FAILED, "INVALID_ARGUMENT")
    assert service.devices()[device.id].state is DeviceState.QUARANTINED
    assert service.stored(notification_id)["invalid_tokens"] == [device.address]


def test_a_device_that_refuses_what_the_accounts_others_took_is_quarantined(service: PushService) -> None:
    good, malformed = service.register(), service.register("400")
    notification_id = service.send()
    (report,) = service.deliver(notification_id)
    assert (report.status, report.accepted, report.failed) == (Status.SENT, 1, 1)
    devices = service.devices()
    assert devices[good.id].state is DeviceState.ACTIVE
    assert (devices[malformed.id].state, devices[malformed.id].state_reason) == (
        DeviceState.QUARANTINED,
        "INVALID_ARGUMENT",
    )
    restored = DeviceTokenService.reinstate_device(device_id=malformed.id)
    assert restored.state is DeviceState.ACTIVE


def test_a_page_that_everybody_refuses_keeps_every_device(service: PushService) -> None:
    """Also where the provider names the targets: so many at once are not all malformed."""
    for kind in ("400", "INVALID_ARGUMENT"):
        accounts = [f"{kind}-{number}" for number in range(30)]
        for account_id in accounts:
            service.register(kind, account_id=account_id)
        reports = service.deliver(*[service.send(account_id=account_id) for account_id in accounts])
        assert {(each.status, each.note) for each in reports} == {(Status.FAILED, "INVALID_ARGUMENT")}
        for account_id in accounts:
            assert {device.state for device in service.devices(account_id).values()} == {DeviceState.ACTIVE}


def test_a_device_of_another_project_is_quarantined(service: PushService) -> None:
    device = service.register("SENDER_ID_MISMATCH")
    (report,) = service.deliver(service.send())
    assert report.status is Status.FAILED
    assert service.devices()[device.id].state is DeviceState.QUARANTINED


def test_a_quota_delays_by_what_the_provider_said_and_costs_no_retry(service: PushService) -> None:
    service.register("QUOTA_EXCEEDED*1+retry-after=120+quota=device")
    notification_id = service.send()
    (report,) = service.deliver(notification_id)
    row = service.read(notification_id)
    assert (report.status, row.retry_count) == (Status.PENDING, 0)
    assert report.retry_in_seconds == pytest.approx(126, abs=8)
    assert row.next_retry_at is not None
    assert row.next_retry_at - row.updated_at >= timedelta(seconds=119)
    service.make_due(notification_id)
    assert service.deliver(notification_id)[0].status is Status.SENT


def test_a_project_quota_pauses_the_next_row_without_a_send(service: PushService) -> None:
    service.register("QUOTA_EXCEEDED*1+retry-after=60")
    service.deliver(service.send())
    service.register(account_id="other")
    other = service.send(account_id="other")
    (report,) = service.deliver(other)
    row = service.read(other)
    assert (report.status, row.retry_count, row.devices[0].attempts) == (Status.PENDING, 0, 0)
    assert row.error_type == "PROVIDER_PAUSED"
    assert service.accepted() == []


def test_a_refused_credential_keeps_the_row(service: PushService) -> None:
    device = service.register("THIRD_PARTY_AUTH_ERROR*1")
    notification_id = service.send()
    (report,) = service.deliver(notification_id)
    row = service.read(notification_id)
    assert (report.status, row.retry_count) == (Status.PENDING, 0)
    assert row.devices[0].outcome is Outcome.MISCONFIGURED
    assert service.devices()[device.id].state is DeviceState.ACTIVE


def test_apps_that_anybody_made_up_wait_for_an_operator_and_take_no_rate(service: PushService) -> None:
    for number in range(3):
        service.register(account_id=f"other-{number}", app_id=f"invented-{number}")
        for immediate in (True, False):
            notification_id = service.send(account_id=f"other-{number}", immediate=immediate)
            if not immediate:
                service.deliver(notification_id)
            row = service.read(notification_id)
            assert (row.status, row.retry_count) == (Status.PENDING, 0)
            assert [device.code for device in row.devices] == ["APP_UNKNOWN"]
    service.register()
    assert service.deliver(service.send())[0].status is Status.SENT
    service.loop_thread.run(NotificationService.stop())
    assert service.rows.database["provider_rates"].distinct("_id") == ["default"]


def test_a_lost_answer_is_repeated_under_at_least_once(service: PushService) -> None:
    service.register("lost-connection*1")
    notification_id = service.send()
    (report,) = service.deliver(notification_id)
    row = service.read(notification_id)
    assert (report.status, row.retry_count) == (Status.PENDING, 1)
    assert (row.devices[0].outcome, row.devices[0].unknown_attempts) == (Outcome.UNKNOWN, 1)
    service.make_due(notification_id)
    assert service.deliver(notification_id)[0].status is Status.SENT
    assert len(service.accepted()) == 2


def test_a_lost_answer_is_final_under_at_most_once(service: PushService) -> None:
    service.register("lost-connection*1")
    notification_id = service.send(outcome_policy=OutcomePolicy.AT_MOST_ONCE)
    (report,) = service.deliver(notification_id)
    row = service.read(notification_id)
    assert (report.status, row.devices[0].outcome) == (Status.FAILED, Outcome.UNKNOWN)
    assert len(service.accepted()) == 1


def test_a_claim_lost_before_sending_is_sent_by_the_next_worker(service: PushService) -> None:
    service.register()
    notification_id = service.send()
    service.loop_thread.run(_claim(service, notification_id))
    service.lose_claim(notification_id)
    (report,) = service.deliver(notification_id)
    assert report.status is Status.SENT
    assert len(service.accepted()) == 1
    assert "claim_lost" in [entry.event for entry in service.read(notification_id).timeline]


def test_what_a_lost_worker_may_have_sent_is_never_repeated_under_at_most_once(service: PushService) -> None:
    sent, unsent = service.register(), service.register()
    notification_id = service.send(outcome_policy=OutcomePolicy.AT_MOST_ONCE)
    service.loop_thread.run(_claim(service, notification_id))
    row_id = service.stored(notification_id)["_id"]
    service.rows.update_one({"_id": row_id}, {"$set": {"claim.dispatched": [sent.id]}})
    service.lose_claim(notification_id)
    service.deliver(notification_id)
    row = service.read(notification_id)
    assert row.status is Status.SENT
    assert {each.device_id: each.outcome for each in row.devices} == {
        sent.id: Outcome.UNKNOWN,
        unsent.id: Outcome.ACCEPTED,
    }
    assert [entry["target"] for entry in service.accepted()] == [unsent.address]


async def _claim(service: PushService, notification_id: str) -> None:
    core = NotificationService._core
    row_id = service.stored(notification_id)["_id"]
    assert await core.delivery._claims.claim([row_id], owner="lost", lease_seconds=30)


def test_preferences_are_obeyed_unless_it_is_immediate(service: PushService) -> None:
    service.register()
    PreferenceService.set_preference(account_id=ACCOUNT, category="marketing", allowed=False)
    normal = service.send(category="marketing")
    (report,) = service.deliver(normal)
    assert (report.status, report.note) == (Status.FAILED, "preference_opted_out")
    assert service.accepted() == []
    immediate = service.send(category="marketing", immediate=True)
    assert service.read(immediate).status is Status.SENT
    other = service.send(category="reminders")
    assert service.deliver(other)[0].status is Status.SENT


def test_an_account_without_devices_fails_and_says_so(service: PushService) -> None:
    (report,) = service.deliver(service.send())
    assert (report.status, report.note) == (Status.FAILED, "no_active_devices")


def test_a_device_that_left_while_it_was_waited_for_is_not_waited_for_any_more(service: PushService) -> None:
    device = service.register("UNAVAILABLE")
    notification_id = service.send()
    assert service.deliver(notification_id)[0].status is Status.PENDING
    DeviceTokenService.deactivate_device(account_id=ACCOUNT, device_id=device.id)
    service.make_due(notification_id)
    (report,) = service.deliver(notification_id)
    assert (report.status, report.note) == (Status.FAILED, "UNAVAILABLE")


def test_retries_end(service: PushService) -> None:
    service.register("UNAVAILABLE")
    notification_id = service.send()
    statuses = []
    for _ in range(5):
        statuses.append(service.deliver(notification_id)[0].status)
        if statuses[-1] is Status.PENDING:
            service.make_due(notification_id)
    assert statuses == [*[Status.PENDING] * 4, Status.FAILED]
    row = service.read(notification_id)
    assert (row.error_type, row.retry_count, row.devices[0].attempts) == ("UNAVAILABLE", 5, 5)


def test_what_is_too_late_is_never_sent(service: PushService) -> None:
    service.register()
    notification_id = service.send(expires_at=datetime.now(UTC) + HOUR)
    past = datetime.now(UTC) - HOUR
    service.rows.update_many({}, {"$set": {"expires_at": past}})
    (report,) = service.deliver(notification_id)
    assert (report.status, report.note) == (Status.EXPIRED, "expired")
    assert service.accepted() == []


def test_delivering_twice_at_once_sends_once(service: PushService) -> None:
    service.register()
    ids = [service.send() for _ in range(10)]
    with ThreadPoolExecutor(8) as threads:
        reports = list(threads.map(lambda _: service.deliver(*ids), range(8)))
    assert len(service.accepted()) == len(ids)
    for notification_id in ids:
        assert service.read(notification_id).status is Status.SENT
    finals = [report.status for page in reports for report in page]
    assert set(finals) <= {Status.SENT, Status.PROCESSING}


def test_a_row_under_another_claim_says_when_to_look_again(service: PushService) -> None:
    service.register()
    notification_id = service.send()
    service.loop_thread.run(_claim(service, notification_id))
    (report,) = service.deliver(notification_id)
    assert (report.status, report.note) == (Status.PROCESSING, "claimed_by_another_worker")
    assert report.retry_in_seconds == pytest.approx(30, abs=5)


def test_a_page_of_rows_is_delivered_in_one_call(service: PushService) -> None:
    """Each row has its own account, devices and fate; reports come back in the order asked for."""
    fates = ["", "UNREGISTERED", "UNAVAILABLE", "INVALID_ARGUMENT", None]
    expected = [Status.SENT, Status.FAILED, Status.PENDING, Status.FAILED, Status.FAILED]
    ids = []
    for number in range(50):
        fate = fates[number % 5]
        if fate is not None:
            service.register(fate, account_id=f"account-{number}")
        ids.append(service.send(account_id=f"account-{number}"))
    reports = service.deliver(*ids)
    assert [report.notification_id for report in reports] == ids
    assert [report.status for report in reports] == expected * 10
    assert len(service.accepted()) == 10


def test_a_row_whose_provider_this_version_does_not_know_is_let_go_untouched(service: PushService) -> None:
    service.register()
    good, other = service.send(), service.send()
    service.rows.update_one({"_id": service.stored(other)["_id"]}, {"$set": {"provider": "newer"}})
    good_report, other_report = service.deliver(good, other)
    assert (good_report.status, other_report.status) == (Status.SENT, Status.PENDING)
    row = service.stored(other)
    assert (row["status"], row["lost_claims"], row["devices"]) == ("pending", 0, [])
    assert "claim" not in row
    assert row["due_at"] > datetime.now(UTC), "this version does not ask for it again and again"


def test_one_rows_failure_is_its_own(service: PushService) -> None:
    service.register()
    good, bad = service.send(), service.send(title="Another content")
    bad_row = service.stored(bad)["_id"]
    service.rows.update_one({"_id": bad_row}, {"$set": {"options.apns.badge": datetime.now(UTC)}})
    good_report, bad_report = service.deliver(good, bad)
    assert good_report.status is Status.SENT
    assert (bad_report.status, bad_report.note) == (Status.FAILED, "PAYLOAD_INVALID")


def test_an_error_of_our_own_fails_its_row_alone_and_tells_nothing_of_the_content(
    service: PushService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service.register()
    good, bad = service.send(), service.send(title="Another content")
    params_of = PushNotificationModel.to_params

    def broken(row: PushNotificationModel) -> SendPushParams:
        params = params_of(row)
        if str(row.id) == bad:
            raise LookupError(params.title)
        return params

    monkeypatch.setattr(PushNotificationModel, "to_params", broken)
    good_report, bad_report = service.deliver(good, bad)
    assert good_report.status is Status.SENT
    assert (bad_report.status, bad_report.note) == (Status.FAILED, "internal_error")
    row = service.read(bad)
    assert (row.error_type, row.error_message) == ("internal_error", "delivery failed with LookupError")
    assert "push.internal_error" in caplog.text and "Another content" not in caplog.text


def test_the_collapse_id_is_the_rows_id(service: PushService) -> None:
    service.register()
    notification_id = service.send()
    service.deliver(notification_id)
    (entry,) = service.accepted()
    assert notification_id in str(entry)


def test_a_receipt_takes_a_sent_row_to_delivered_once(service: PushService) -> None:
    service.register()
    late, early = service.send(), service.send()
    assert NotificationService.record_delivered(notification_id=early), "kept until the row is sent"
    assert service.read(early).status is Status.PENDING
    service.deliver(late, early)
    assert NotificationService.record_delivered(notification_id=late)
    eventually(lambda: service.read(early).status is Status.DELIVERED)
    for notification_id in (late, early):
        assert not NotificationService.record_delivered(notification_id=notification_id)
        row = service.read(notification_id)
        assert (row.status, row.delivered_at is not None) == (Status.DELIVERED, True)


def test_a_slow_provider_keeps_its_lease(stack: LocalStack, database_name: str) -> None:
    """The send takes two leases; whoever asks meanwhile finds the row claimed."""
    with push_service(stack, database_name, DELIVERY_LEASE_SECONDS="1") as service:
        service.register("ok+delay=2000")
        notification_id = service.send()
        with ThreadPoolExecutor(1) as threads:
            first = threads.submit(service.deliver, notification_id)
            while not first.done():
                (report,) = service.deliver(notification_id)
                assert report.status in (Status.PROCESSING, Status.SENT)
        assert first.result()[0].status is Status.SENT
        assert len(service.accepted()) == 1
        assert service.stored(notification_id)["fence"] == 1

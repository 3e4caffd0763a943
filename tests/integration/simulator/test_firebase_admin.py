"""Google's own client against the simulator: what it takes for success and for which error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import firebase_admin
import pytest
import requests
from firebase_admin import credentials, exceptions, messaging
from requests.adapters import HTTPAdapter

from tests.integration.simulator.processes import RunningSimulator

PLAIN = {"title": "Hello", "body": "World"}


@pytest.fixture
def app(simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[firebase_admin.App]:
    """An app of firebase-admin whose requests go to the simulator, without the retries that take seconds."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", simulator.ready["ca_file"])
    certificate = credentials.Certificate(simulator.ready["credentials_path"])
    app = firebase_admin.initialize_app(certificate, name=f"simulator-{time.time_ns()}")
    service: Any = messaging._get_messaging_service(app)
    service._fcm_url = f"{simulator.endpoint}/v1/projects/{app.project_id}/messages:send"
    service._client.session.mount(simulator.endpoint, HTTPAdapter(pool_maxsize=100, max_retries=0))
    yield app
    service._client.close()
    firebase_admin.delete_app(app)


def make_message(target: str, **over: Any) -> messaging.Message:
    return messaging.Message(fid=target, notification=messaging.Notification(**PLAIN), **over)


def test_send_is_accepted(simulator: RunningSimulator, app: firebase_admin.App) -> None:
    since = simulator.control.position()
    android = messaging.AndroidConfig(
        priority="high", notification=messaging.AndroidNotification(tag="row-1")
    )
    name = messaging.send(make_message("phone-1", android=android), app=app)
    (entry,) = simulator.control.audit(since)
    assert (entry["message_id"], entry["target_kind"], entry["android_tag"]) == (name, "fid", "row-1")


def test_a_dry_run_is_validated(simulator: RunningSimulator, app: firebase_admin.App) -> None:
    since = simulator.control.position()
    name = messaging.send(make_message("phone-1"), dry_run=True, app=app)
    assert name == "projects/demo-project/messages/fake_message_id"
    assert simulator.control.audit(since) == []


@pytest.mark.parametrize(
    ("target", "expected", "code"),
    [
        ("sim-UNSPECIFIED_ERROR-1", exceptions.UnknownError, "UNKNOWN"),
        ("sim-INVALID_ARGUMENT-1", exceptions.InvalidArgumentError, "INVALID_ARGUMENT"),
        ("sim-UNREGISTERED-1", messaging.UnregisteredError, "NOT_FOUND"),
        ("sim-SENDER_ID_MISMATCH-1", messaging.SenderIdMismatchError, "PERMISSION_DENIED"),
        ("sim-project:other:1", messaging.SenderIdMismatchError, "PERMISSION_DENIED"),
        ("sim-QUOTA_EXCEEDED-1", messaging.QuotaExceededError, "RESOURCE_EXHAUSTED"),
        ("sim-QUOTA_EXCEEDED+retry-after=1-1", messaging.QuotaExceededError, "RESOURCE_EXHAUSTED"),
        ("sim-UNAVAILABLE-1", exceptions.UnavailableError, "UNAVAILABLE"),
        ("sim-INTERNAL-1", exceptions.InternalError, "INTERNAL"),
        ("sim-THIRD_PARTY_AUTH_ERROR-1", messaging.ThirdPartyAuthError, "UNAUTHENTICATED"),
        ("sim-429-1", exceptions.ResourceExhaustedError, "RESOURCE_EXHAUSTED"),
        ("sim-403-1", exceptions.PermissionDeniedError, "PERMISSION_DENIED"),
        ("sim-404-1", exceptions.NotFoundError, "NOT_FOUND"),
        ("sim-502-1", exceptions.UnknownError, "UNKNOWN"),
    ],
)
def test_each_error_is_the_exception_that_google_means(
    simulator: RunningSimulator,
    app: firebase_admin.App,
    target: str,
    expected: type[exceptions.FirebaseError],
    code: str,
) -> None:
    since = simulator.control.position()
    with pytest.raises(exceptions.FirebaseError) as raised:
        messaging.send(make_message(target), app=app)
    assert type(raised.value) is expected
    assert raised.value.code == code
    assert simulator.control.audit(since) == []


def test_an_oversized_message_is_an_invalid_argument(app: firebase_admin.App) -> None:
    with pytest.raises(exceptions.InvalidArgumentError, match="too big"):
        messaging.send(make_message("phone-1", data={"k": "x" * 4096}), app=app)


def test_send_each_reports_each_message(simulator: RunningSimulator, app: firebase_admin.App) -> None:
    since = simulator.control.position()
    targets = [f"sim-UNREGISTERED-{number}" if number % 5 == 0 else f"phone-{number}" for number in range(50)]
    batch = messaging.send_each([make_message(target) for target in targets], app=app)
    assert (batch.success_count, batch.failure_count) == (40, 10)
    for target, response in zip(targets, batch.responses, strict=True):
        assert response.success == target.startswith("phone")
        assert response.success or isinstance(response.exception, messaging.UnregisteredError)
    accepted = {entry["message_id"]: entry["target"] for entry in simulator.control.audit(since)}
    sent = {response.message_id: target for target, response in zip(targets, batch.responses, strict=True)}
    assert accepted == {name: target for name, target in sent.items() if name}


def test_a_key_that_was_revoked_fails_before_anything_is_sent(
    simulator: RunningSimulator, app: firebase_admin.App
) -> None:
    simulator.control.set_oauth("invalid_grant")
    since = simulator.control.position()
    with pytest.raises(Exception, match="Invalid JWT Signature"):
        messaging.send(make_message("phone-1"), app=app)
    assert simulator.control.audit(since) == []


def test_a_revoked_token_is_renewed_by_the_client(
    simulator: RunningSimulator, app: firebase_admin.App
) -> None:
    messaging.send(make_message("phone-1"), app=app)
    simulator.control.revoke_tokens()
    since = simulator.control.position()
    messaging.send(make_message("phone-2"), app=app)
    assert [entry["target"] for entry in simulator.control.audit(since)] == ["phone-2"]


def test_a_lost_response_is_an_error_of_the_connection(
    session_simulators: dict[str, RunningSimulator], app: firebase_admin.App, simulator: RunningSimulator
) -> None:
    if simulator is session_simulators["granian"]:
        with pytest.raises(exceptions.FirebaseError) as refused:
            messaging.send(make_message("sim-lost-response-1"), app=app)
        assert refused.value.http_response.status_code == 501
        return
    since = simulator.control.position()
    with pytest.raises(exceptions.FirebaseError) as lost:
        messaging.send(make_message("sim-lost-response-1"), app=app)
    assert isinstance(lost.value.cause, requests.exceptions.ConnectionError)
    assert [entry["target"] for entry in simulator.control.audit(since)] == ["sim-lost-response-1"]

"""firebase-admin's own client and ours, each on its own socket: the same requests, the same errors."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import firebase_admin
import pytest
from firebase_admin import credentials, exceptions, messaging
from hypothesis import HealthCheck, given, settings
from urllib3.util import Retry

from modules.device_token.types import TargetKind
from modules.notification.internals.channels.fcm.answer import FcmResponse
from modules.notification.internals.channels.fcm.firebase_errors import firebase_error_for
from modules.notification.internals.channels.fcm.message_builder import build_message
from modules.notification.internals.channels.fcm.message_encoder import ANY_TARGET, EncodedMessage
from modules.notification.internals.channels.fcm.transport import FcmTransport
from modules.notification.types import AndroidOptions, ApnsOptions, BroadcastKind, PushTarget, WebPushOptions
from tests.integration.fcm.conftest import MakeService, granted
from tests.support.fcm_errors import bad_request, fcm_error, quota_failure
from tests.support.fcm_factories import make_params, make_payload, make_targets
from tests.support.fcm_files import PROJECT_ID, TlsFiles
from tests.support.fcm_messages import addresses, message_arguments
from tests.support.fcm_socket import FcmSocket, answering
from tests.support.fcm_token_server import Posted, TokenServer, granting

SEND_PATH = f"/v1/projects/{PROJECT_ID}/messages:send"
SDK = messaging._MessagingService


@pytest.fixture
def firebase(
    token_server: TokenServer, credentials_path: Path, tls: TlsFiles, monkeypatch: pytest.MonkeyPatch
) -> Iterator[firebase_admin.App]:
    """firebase-admin as anybody would use it, but for where it sends, whom it trusts, and its waits."""
    monkeypatch.setattr(SDK, "FCM_URL", token_server.origin + "/v1/projects/{0}/messages:send")
    monkeypatch.setattr(Retry, "sleep", lambda *_: None)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls.ca_file))
    token_server.answer = answering_sends(200, b'{"name": "projects/p/messages/1"}')
    app = firebase_admin.initialize_app(credentials.Certificate(str(credentials_path)), name="conformance")
    yield app
    firebase_admin.delete_app(app)


def answering_sends(status: int, body: bytes) -> Callable[[Posted], tuple[int, bytes]]:
    return lambda posted: (status, body) if posted.path == SEND_PATH else granting("token-1")


def sends(token_server: TokenServer) -> list[Posted]:
    return [posted for posted in token_server.posted if posted.path == SEND_PATH]


def theirs(app: firebase_admin.App, dry_run: bool = False, **arguments: Any) -> messaging.SendResponse:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        message = messaging.Message(**arguments)
    return messaging.send_each([message], dry_run=dry_run, app=app).responses[0]


async def send(fcm: FcmSocket, tls: TlsFiles, body: bytes) -> FcmResponse:
    transport = FcmTransport(
        endpoint=fcm.endpoint,
        ca_file=tls.ca_file,
        connect_timeout_seconds=5,
        request_timeout_seconds=10,
        max_concurrent_requests=1,
    )
    try:
        answer = await transport.post(body=body, access=granted(PROJECT_ID, "token-1"))
    finally:
        await transport.close()
    assert isinstance(answer, FcmResponse)
    return answer


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arguments=message_arguments, token=addresses)
def test_the_same_message_makes_the_same_request(
    arguments: dict[str, Any],
    token: str,
    firebase: firebase_admin.App,
    token_server: TokenServer,
    fcm: FcmSocket,
    tls: TlsFiles,
) -> None:
    body = EncodedMessage(messaging.Message(**arguments, fid=ANY_TARGET)).body_for(TargetKind.TOKEN, token)
    asyncio.run(send(fcm, tls, body))
    assert theirs(firebase, **arguments, token=token).success
    ours, expected = fcm.requests[-1], sends(token_server)[-1]
    assert json.loads(ours.body) == json.loads(expected.body)
    assert ours.path == expected.path
    for header in ("authorization", "content-type", "x-goog-api-format-version", "x-firebase-client"):
        assert ours.headers[header] == expected.headers[header]


async def test_a_push_is_the_multicast_of_firebase_admin(
    firebase: firebase_admin.App, token_server: TokenServer, fcm: FcmSocket, make_service: MakeService
) -> None:
    params = make_params(
        data={"type": "login_alert", "name": "Zoë 😀"},
        image_url="https://example.com/a.png",
        click_action="https://example.com/",
        android=AndroidOptions(channel_id="alerts", sound="bell"),
        apns=ApnsOptions(headers={"Apns-Push-Type": "alert"}, badge=3),
        webpush=WebPushOptions(link="https://example.com/alerts"),
        analytics_label="spring",
    )
    targets = [*make_targets(3), *make_targets(2, kind=TargetKind.FID)]
    payload = make_payload(params=params, immediate=True)
    await make_service().send_push(targets, payload)
    message = build_message(payload)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        multicast = messaging.MulticastMessage(
            tokens=addresses_of(targets, TargetKind.TOKEN),
            fids=addresses_of(targets, TargetKind.FID),
            **{name: value for name, value in vars(message).items() if name not in TARGET_MEMBERS},
        )
    response = await asyncio.to_thread(messaging.send_each_for_multicast, multicast, app=firebase)
    assert response.success_count == 5
    expected = [json.loads(posted.body) for posted in sends(token_server)]
    assert in_order(json.loads(request.body) for request in fcm.requests) == in_order(expected)


TARGET_MEMBERS = {"token", "fid", "topic", "condition"}


def addresses_of(targets: list[PushTarget], kind: TargetKind) -> list[str]:
    return [target.address for target in targets if target.kind is kind]


def in_order(documents: Any) -> list[str]:
    return sorted(json.dumps(document, sort_keys=True) for document in documents)


def test_a_dry_run_is_said_in_the_same_way(
    firebase: firebase_admin.App, token_server: TokenServer, fcm: FcmSocket, tls: TlsFiles
) -> None:
    notification = messaging.Notification(title="check")
    message = messaging.Message(notification=notification, fid=ANY_TARGET)
    body = EncodedMessage(message, validate_only=True).body_for(BroadcastKind.TOPIC, "news")
    asyncio.run(send(fcm, tls, body))
    theirs(firebase, dry_run=True, notification=notification, topic="news")
    assert json.loads(fcm.requests[0].body) == json.loads(sends(token_server)[0].body)


QUOTA = quota_failure("project:1", "Message rate exceeded")
ERRORS: list[tuple[int, dict[str, Any] | bytes]] = [
    # Each code of https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode.
    (500, fcm_error(500, "UNKNOWN", "UNSPECIFIED_ERROR")),
    (400, fcm_error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", bad_request("message.token"))),
    (404, fcm_error(404, "NOT_FOUND", "UNREGISTERED")),
    (403, fcm_error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH")),
    (429, fcm_error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", QUOTA)),
    (503, fcm_error(503, "UNAVAILABLE", "UNAVAILABLE")),
    (500, fcm_error(500, "INTERNAL", "INTERNAL")),
    (401, fcm_error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR")),
    (401, fcm_error(401, "UNAUTHENTICATED", "APNS_AUTH_ERROR")),
    # The two samples of https://firebase.google.com/docs/cloud-messaging/error-codes.
    (400, fcm_error(400, "INVALID_ARGUMENT", "", bad_request("message.data[0].value"))),
    (400, fcm_error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT")),
    # The other codes of google.rpc.Code, without FcmError.
    (499, fcm_error(499, "CANCELLED")),
    (400, fcm_error(400, "FAILED_PRECONDITION")),
    (400, fcm_error(400, "OUT_OF_RANGE")),
    (401, fcm_error(401, "UNAUTHENTICATED")),
    (403, fcm_error(403, "PERMISSION_DENIED")),
    (404, fcm_error(404, "NOT_FOUND")),
    (409, fcm_error(409, "ABORTED")),
    (409, fcm_error(409, "ALREADY_EXISTS")),
    (429, fcm_error(429, "RESOURCE_EXHAUSTED")),
    (500, fcm_error(500, "DATA_LOSS")),
    (501, fcm_error(501, "UNIMPLEMENTED")),
    (504, fcm_error(504, "DEADLINE_EXCEEDED")),
    # Odd ones.
    (400, fcm_error(400, "INVALID_ARGUMENT", "BRAND_NEW")),
    (418, fcm_error(418, "TEAPOT")),
    (400, {"error": {"code": 400, "message": "no status"}}),
    (404, {"error": {"details": [{"@type": "x"}, {"errorCode": "UNREGISTERED"}]}}),
    (400, {}),
    (403, b""),
    (404, b"<html>Not Found</html>"),
    (409, b"[]"),
    (412, b"null"),
    (429, b'{"error": {'),
    (500, b"\xef\xbb\xbf{}"),
    (502, b"<html>Bad Gateway</html>"),
    (503, b"busy"),
    (504, b""),
]


@pytest.mark.parametrize(("status", "body"), ERRORS)
def test_the_same_error_response_becomes_the_same_error(
    status: int,
    body: dict[str, Any] | bytes,
    firebase: firebase_admin.App,
    token_server: TokenServer,
    fcm: FcmSocket,
    tls: TlsFiles,
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    token_server.answer = answering_sends(status, content)
    fcm.react = lambda _: answering(status, content)
    expected = theirs(firebase, token="token").exception
    assert isinstance(expected, exceptions.FirebaseError)
    ours = firebase_error_for(asyncio.run(send(fcm, tls, b"{}")))
    assert (type(ours), ours.code) == (type(expected), expected.code)

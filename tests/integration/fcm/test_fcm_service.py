"""What becomes of a push to many devices, over real sockets."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from h2.errors import ErrorCodes

from modules.application.errors import InvalidInputError
from modules.config.types import FcmAppSettings
from modules.device_token.types import TargetKind
from modules.notification.errors import (
    ProviderConfigurationError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from modules.notification.types import Outcome, TargetAction, ThrottleScope
from tests.integration.fcm.conftest import MakeService, MakeTransport, outcomes
from tests.support.fcm_errors import fcm_error, quota_failure
from tests.support.fcm_factories import make_params, make_payload, make_target, make_targets
from tests.support.fcm_files import TlsFiles, write_service_account, write_tls_files
from tests.support.fcm_socket import (
    ACCEPTED_NAME,
    FcmSocket,
    Reaction,
    Received,
    abort,
    accept,
    answering,
    reset,
)
from tests.support.fcm_token_server import Posted, TokenServer, granting
from tests.support.process_logs import capture_logs


def by_address(reactions: dict[str, Reaction]) -> Callable[[Received], Reaction]:
    return lambda received: reactions.get(received.address, accept)


async def test_each_device_gets_its_own_answer_in_order(fcm: FcmSocket, make_service: MakeService) -> None:
    fcm.react = by_address(
        {
            "address-2": answering(404, fcm_error(404, "NOT_FOUND", "UNREGISTERED")),
            "address-3": answering(400, fcm_error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT")),
            "address-4": answering(403, fcm_error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH")),
            "address-5": answering(503, fcm_error(503, "UNAVAILABLE", "UNAVAILABLE"), {"retry-after": "17"}),
            "address-6": answering(
                429, fcm_error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", quota_failure("device:abc"))
            ),
            "address-7": answering(401, fcm_error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR")),
            "address-8": abort_stream,
            "address-9": answering(200, b'{"name":'),
        }
    )
    targets = make_targets(10)
    result = await make_service().send_push(targets, make_payload())
    assert [entry.device_id for entry in result.results] == [target.device_id for target in targets]
    assert outcomes(result.results) == [
        Outcome.ACCEPTED,
        Outcome.TARGET_DEAD,
        Outcome.PERMANENT,
        Outcome.TARGET_DEAD,
        Outcome.TRANSIENT,
        Outcome.THROTTLED,
        Outcome.MISCONFIGURED,
        Outcome.UNKNOWN,
        Outcome.UNKNOWN,
        Outcome.ACCEPTED,
    ]
    actions = {entry.device_id: entry.classification.target_action for entry in result.results}
    assert actions["device-2"] is TargetAction.DEACTIVATE
    assert actions["device-4"] is TargetAction.QUARANTINE
    assert list(actions.values()).count(TargetAction.KEEP) == 8
    assert result.results[4].classification.retry_after_seconds == 17
    assert result.results[5].classification.scope is ThrottleScope.DEVICE
    assert [entry.message_id for entry in result.accepted] == [ACCEPTED_NAME, ACCEPTED_NAME]
    assert all(entry.message_id is None for entry in result.failed)
    assert all(entry.latency_ms > 0 for entry in result.results)
    assert len(fcm.requests) == 10, "nothing is tried twice"


abort_stream = reset(ErrorCodes.INTERNAL_ERROR)


async def test_a_used_up_quota_ends_the_send_to_its_project(
    fcm: FcmSocket, make_service: MakeService
) -> None:
    quota = answering(429, fcm_error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), {"retry-after": "17"})
    fcm.react = by_address({"address-3": quota})
    result = await make_service(max_concurrent_requests=1).send_push(make_targets(9), make_payload())
    codes = [entry.classification.code for entry in result.results]
    assert codes == ["OK"] * 2 + ["QUOTA_EXCEEDED"] + ["QUOTA_REACHED"] * 6
    assert [request.address for request in fcm.requests] == ["address-1", "address-2", "address-3"]
    kept = result.results[-1].classification
    assert (kept.outcome, kept.attempted, kept.retry_after_seconds) == (Outcome.THROTTLED, False, 17)


async def test_a_quota_of_one_device_keeps_nobody_else_waiting(
    fcm: FcmSocket, make_service: MakeService
) -> None:
    body = fcm_error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", quota_failure("device:abc"))
    fcm.react = by_address({"address-1": answering(429, body)})
    result = await make_service(max_concurrent_requests=1).send_push(make_targets(4), make_payload())
    assert len(result.accepted) == 3


async def test_a_device_is_addressed_by_its_kind(fcm: FcmSocket, make_service: MakeService) -> None:
    targets = [make_target(1), make_target(2, kind=TargetKind.FID)]
    await make_service().send_push(targets, make_payload())
    messages = sorted((request.message for request in fcm.requests), key=lambda message: "fid" in message)
    assert messages[0]["token"] == "address-1"
    assert messages[1]["fid"] == "address-2"
    for message in messages:
        assert len({"token", "fid", "topic", "condition"} & message.keys()) == 1
        assert message["notification"]["title"] == "Security Alert"


async def test_five_hundred_devices_are_one_send(fcm: FcmSocket, make_service: MakeService) -> None:
    targets = make_targets(500)
    result = await make_service().send_push(targets, make_payload())
    assert len(result.accepted) == 500
    assert sorted(request.address for request in fcm.requests) == sorted(target.address for target in targets)


@pytest.mark.parametrize("count", [0, 501])
async def test_a_number_of_devices_fcm_does_not_take_is_refused(
    count: int, fcm: FcmSocket, make_service: MakeService
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await make_service().send_push(make_targets(count), make_payload())
    assert refused.value.field == "targets"
    assert fcm.requests == []


async def test_an_app_that_is_not_configured_fails_by_itself(
    fcm: FcmSocket, make_service: MakeService
) -> None:
    targets = [make_target(1), make_target(2, app_id="other"), make_target(3)]
    result = await make_service().send_push(targets, make_payload())
    assert outcomes(result.results) == [Outcome.ACCEPTED, Outcome.MISCONFIGURED, Outcome.ACCEPTED]
    assert result.results[1].classification.code == "APP_UNKNOWN"
    assert len(fcm.requests) == 2


async def test_each_app_sends_for_its_own_project(
    fcm: FcmSocket, make_service: MakeService, token_server: TokenServer, tmp_path: Path
) -> None:
    def answer(posted: Posted) -> tuple[int, bytes]:
        issuer = json.loads(decode_segment(posted.form["assertion"].split(".")[1]))["iss"]
        return granting(f"token-of-{issuer}")

    token_server.answer = answer
    shop = write_service_account(
        tmp_path / "shop.json", token_server.token_uri, project_id="shop", client_email="shop@shop"
    )
    apps = {
        "shop": FcmAppSettings(credentials_path=shop),
        "outlet": FcmAppSettings(credentials_path=shop, project_id="outlet"),
    }
    service = make_service(apps=apps)
    targets = [make_target(1), make_target(2, app_id="shop"), make_target(3, app_id="outlet")]
    result = await service.send_push(targets, make_payload())
    assert len(result.accepted) == 3
    seen = {request.address: (request.path, request.headers["authorization"]) for request in fcm.requests}
    own = "sender@demo-project.iam.gserviceaccount.com"
    assert seen == {
        "address-1": ("/v1/projects/demo-project/messages:send", f"Bearer token-of-{own}"),
        "address-2": ("/v1/projects/shop/messages:send", "Bearer token-of-shop@shop"),
        "address-3": ("/v1/projects/outlet/messages:send", "Bearer token-of-shop@shop"),
    }


def decode_segment(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


async def test_a_device_that_cannot_be_addressed_fails_by_itself(
    fcm: FcmSocket, make_service: MakeService
) -> None:
    targets = [make_target(1), make_target(2, kind="pigeon"), make_target(3)]
    with capture_logs() as logs:
        result = await make_service().send_push(targets, make_payload())
    assert outcomes(result.results) == [Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.ACCEPTED]
    assert [entry["action"] for entry in logs] == ["fcm.send_failed"]


async def test_a_payload_that_cannot_be_sent_is_not(fcm: FcmSocket, make_service: MakeService) -> None:
    service = make_service()
    for payload in (
        make_payload(params=make_params(body="x" * 5000)),
        make_payload(params=make_params(title=7)),
        make_payload(params=make_params(data={"key": 7})),
        make_payload(params=make_params(data=None)),
        make_payload(ttl_seconds=-1),
        make_payload(notification_id="x" * 65),
    ):
        result = await service.send_push(make_targets(2), payload)
        assert outcomes(result.results) == [Outcome.PERMANENT] * 2
        assert result.results[0].classification.target_action is TargetAction.KEEP
    assert fcm.requests == []


async def test_a_lost_connection_is_unknown_and_a_refused_one_is_not(
    fcm: FcmSocket, make_service: MakeService
) -> None:
    fcm.react = lambda _: abort
    lost = await make_service().send_push([make_target()], make_payload())
    assert (lost.results[0].outcome, lost.results[0].classification.code) == (
        Outcome.UNKNOWN,
        "CONNECTION_LOST",
    )
    refused = await make_service(endpoint="https://127.0.0.1:1").send_push([make_target()], make_payload())
    assert (refused.results[0].outcome, refused.results[0].classification.code) == (
        Outcome.TRANSIENT,
        "CONNECT_FAILED",
    )


async def test_the_check_at_start_passes_when_all_is_well(
    fcm: FcmSocket, make_service: MakeService, token_server: TokenServer
) -> None:
    service = make_service()
    await service.check_credentials()
    assert (len(token_server.posted), fcm.requests) == (1, [])
    await service.check_provider()
    [request] = fcm.requests
    assert json.loads(request.body)["validate_only"] is True
    assert request.message["topic"] == "notification-service-check"


async def test_the_check_says_what_is_wrong(
    fcm: FcmSocket, make_service: MakeService, token_server: TokenServer, tls: TlsFiles
) -> None:
    with pytest.raises(ProviderConfigurationError, match=r"fcm_app_unknown"):
        await make_service().check_credentials("other")
    fcm.react = lambda _: answering(403, fcm_error(403, "PERMISSION_DENIED"))
    with pytest.raises(ProviderRefusedError) as denied:
        await make_service().check_provider()
    assert (denied.value.code, denied.value.reason) == (
        "fcm_permission_denied",
        "the service account may not send for this project",
    )
    fcm.react = lambda _: answering(503, b"<html>")
    with pytest.raises(ProviderUnavailableError, match=r"fcm_unavailable"):
        await make_service().check_provider()
    with pytest.raises(ProviderUnavailableError, match=r"fcm_unavailable: no connection to FCM"):
        await make_service(endpoint="https://127.0.0.1:1").check_provider()
    fcm.react = lambda _: answering(200, b"{}")
    with pytest.raises(ProviderUnavailableError, match=r"fcm_unknown: the answer says success"):
        await make_service().check_provider()
    missing = tls.ca_file.with_name("missing.pem")
    with pytest.raises(ProviderConfigurationError, match=r"fcm_ca_file_invalid"):
        await make_service(ca_file=missing).check_credentials()


async def test_no_address_no_content_and_no_token_is_shown(
    fcm: FcmSocket, make_service: MakeService, capfd: pytest.CaptureFixture[str]
) -> None:
    error = fcm_error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT")
    error["error"]["message"] = "address-1 and Security Alert are bad"
    fcm.react = lambda _: answering(400, error)
    target, payload, service = make_target(), make_payload(), make_service()
    result = await service.send_push([target], payload)
    fcm.react = lambda _: answering(400, fcm_error(400, "INVALID_ARGUMENT", "BRAND_NEW"))
    with capture_logs() as logs:
        unknown = await service.send_push([target], payload)
    assert [entry["action"] for entry in logs] == ["push.unknown_provider_code"]
    shown = repr((result, unknown, target, payload, logs)) + "".join(capfd.readouterr())
    for secret in ("address-1", "Security Alert", "New login", "token-1"):
        assert secret not in shown


async def test_authorities_that_become_unusable_while_sending_cost_each_target_its_own_answer(
    make_service: MakeService, make_transport: MakeTransport, tls: TlsFiles, tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(tls.ca_file.read_bytes())
    service = make_service(max_concurrent_requests=2, ca_file=ca_file)
    await service.check_credentials()
    app = service._app("default")
    app._transport = make_transport(ca_file=write_tls_files(tmp_path / "others").ca_file)
    ca_file.write_text("half of a file")
    result = await service.send_push(make_targets(9), make_payload())
    # Of the two that were under way on the connections of before, one may be told of those alone.
    assert outcomes(result.results).count(Outcome.MISCONFIGURED) >= 7
    assert set(outcomes(result.results)) <= {Outcome.MISCONFIGURED, Outcome.TRANSIENT}

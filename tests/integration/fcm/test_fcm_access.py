"""What becomes of a push when there is no access token, or FCM does not take the one there is."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from modules.notification.internals.domain.deferrals import TOO_LATE
from modules.notification.types import Classification, Outcome, Push, PushTarget, TargetResult
from tests.integration.fcm.conftest import MakeService, MakeTransport, outcomes
from tests.support.fcm_errors import fcm_error
from tests.support.fcm_factories import make_payload, make_target, make_targets
from tests.support.fcm_files import TlsFiles, write_service_account, write_tls_files
from tests.support.fcm_socket import Exchange, FcmSocket, Reaction, Received, accept, answering
from tests.support.fcm_token_server import Posted, TokenServer, granting, refusing
from tests.support.process_logs import capture_logs


async def test_without_a_token_nothing_is_sent(
    fcm: FcmSocket, make_service: MakeService, token_server: TokenServer
) -> None:
    token_server.answer = lambda _: refusing("invalid_grant")
    with capture_logs() as logs:
        result = await make_service().send_push(make_targets(3), make_payload())
    assert outcomes(result.results) == [Outcome.MISCONFIGURED] * 3
    reason = result.results[0].classification.reason
    assert reason == "no access token for FCM can be had: fcm_token_refused"
    [entry] = logs
    assert (entry["action"], entry["app_id"], entry["code"]) == (
        "fcm.no_access",
        "default",
        "fcm_token_refused",
    )
    assert "invalid_grant" in entry["reason"]
    assert fcm.requests == []
    assert len(token_server.posted) == 1, "one refusal serves all targets"


async def test_a_token_server_out_of_reach_costs_only_time(
    fcm: FcmSocket, make_service: MakeService, tmp_path: Path
) -> None:
    path = write_service_account(tmp_path / "lost.json", "https://127.0.0.1:1/token")
    result = await make_service(credentials_path=path).send_push(make_targets(2), make_payload())
    assert outcomes(result.results) == [Outcome.TRANSIENT] * 2
    assert result.results[0].classification.code == "TOKEN_SERVER_UNREACHABLE"
    assert result.results[0].classification.min_backoff_seconds == 1
    assert fcm.requests == []


async def test_a_token_fcm_refuses_is_replaced_once(
    fcm: FcmSocket, make_service: MakeService, token_server: TokenServer
) -> None:
    tokens = iter(["revoked", "fresh"])
    token_server.answer = lambda _: granting(next(tokens))

    def react(received: Received) -> Reaction:
        revoked = received.headers["authorization"] == "Bearer revoked"
        return answering(401, fcm_error(401, "UNAUTHENTICATED")) if revoked else accept

    fcm.react = react
    result = await make_service().send_push(make_targets(20), make_payload())
    assert len(result.accepted) == 20
    assert len(token_server.posted) == 2, "one replacement serves all who were refused"


class LetsOutOnce:
    """A guard that lets a message out the first time it is asked, and never again."""

    def __init__(self) -> None:
        self.asked = 0
        self.told: list[TargetResult] = []

    def refusal(self, push: Push, target: PushTarget) -> Classification | None:
        self.asked += 1
        return None if self.asked == 1 else TOO_LATE

    def answered(self, push: Push, target: PushTarget, result: TargetResult) -> None:
        self.told.append(result)


async def test_a_message_is_asked_for_again_before_it_goes_out_with_another_token(
    fcm: FcmSocket, make_service: MakeService, token_server: TokenServer
) -> None:
    fcm.react = lambda _: answering(401, fcm_error(401, "UNAUTHENTICATED"))
    guard = LetsOutOnce()
    push = Push(targets=make_targets(1), payload=make_payload())
    [sent] = await make_service().send_each([push], guard=guard)
    assert len(token_server.posted) == 2
    assert (guard.asked, len(fcm.requests)) == (2, 1)
    assert [result.classification for result in sent.results] == [TOO_LATE]
    assert guard.told == [], "nothing that was let out came to an end"


async def test_a_message_is_asked_for_again_before_it_goes_out_over_other_connections(
    fcm: FcmSocket, make_service: MakeService, make_transport: MakeTransport, tls: TlsFiles, tmp_path: Path
) -> None:
    service = make_service()
    await service.check_credentials()
    app = service._app("default")
    # As if `ca_file` had been another one when the connections were opened.
    app._trusted = b"another file"
    app._transport = make_transport(ca_file=write_tls_files(tmp_path / "others").ca_file)
    guard = LetsOutOnce()
    [sent] = await service.send_each([Push(targets=make_targets(1), payload=make_payload())], guard=guard)
    assert (guard.asked, len(fcm.requests)) == (2, 0)
    assert [result.classification for result in sent.results] == [TOO_LATE]
    result = await service.send_push(make_targets(1), make_payload())
    assert outcomes(result.results) == [Outcome.ACCEPTED], "the file of now is in use"


async def test_a_token_that_is_refused_again_is_misconfigured(
    fcm: FcmSocket, make_service: MakeService, token_server: TokenServer
) -> None:
    fcm.react = lambda _: answering(401, fcm_error(401, "UNAUTHENTICATED"))
    service = make_service()
    for _ in range(2):
        result = await service.send_push(make_targets(10), make_payload())
        assert outcomes(result.results) == [Outcome.MISCONFIGURED] * 10
        assert {entry.classification.code for entry in result.results} == {"UNAUTHENTICATED"}
    assert len(token_server.posted) == 2, "the token server is not asked again and again"
    assert len(fcm.requests) <= 40


async def test_apns_trouble_does_not_cost_a_token(
    fcm: FcmSocket, make_service: MakeService, token_server: TokenServer
) -> None:
    fcm.react = lambda _: answering(401, fcm_error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"))
    result = await make_service().send_push([make_target()], make_payload())
    assert result.results[0].classification.code == "THIRD_PARTY_AUTH_ERROR"
    assert (len(fcm.requests), len(token_server.posted)) == (1, 1)


async def test_the_row_names_no_path_and_the_log_does(make_service: MakeService, tmp_path: Path) -> None:
    missing = tmp_path / "missing.json"
    broken = {
        "fcm_credentials_missing": {"credentials_path": missing},
        "fcm_ca_file_invalid": {"ca_file": missing},
    }
    for code, over in broken.items():
        with capture_logs() as logs:
            result = await make_service(**over).send_push(make_targets(2), make_payload())
        for entry in result.results:
            assert entry.outcome is Outcome.MISCONFIGURED
            assert entry.classification.reason == f"no access token for FCM can be had: {code}"
        [line] = logs
        assert (line["action"], line["code"]) == ("fcm.no_access", code)
        assert str(missing) in line["reason"]


async def test_a_replacement_that_cannot_be_had_is_told_to_the_operator_once(
    fcm: FcmSocket, make_service: MakeService, token_server: TokenServer
) -> None:
    fcm.react = lambda _: answering(401, fcm_error(401, "UNAUTHENTICATED"))
    answers = [refusing("invalid_grant"), granting("token-1")]
    token_server.answer = lambda _: answers.pop()
    with capture_logs() as logs:
        result = await make_service().send_push(make_targets(20), make_payload())
    assert {entry.classification.code for entry in result.results} == {"CREDENTIALS_UNUSABLE"}
    assert [entry["action"] for entry in logs] == ["fcm.no_access"], "once, for all who met it"


async def test_a_new_failure_is_told_again(make_service: MakeService, tmp_path: Path) -> None:
    service = make_service(ca_file=tmp_path / "missing.pem")
    with capture_logs() as logs:
        for _ in range(2):
            await service.send_push(make_targets(3), make_payload())
    assert [entry["action"] for entry in logs] == ["fcm.no_access"] * 2


async def test_tokens_that_live_for_a_second_carry_everything(
    fcm: FcmSocket, make_service: MakeService, token_server: TokenServer
) -> None:
    """The server takes none after its end; the messages of one call take several lives."""
    alive_until: dict[str, float] = {}

    def grant(_: Posted) -> tuple[int, bytes]:
        token = f"token-{len(token_server.posted)}"
        alive_until[f"Bearer {token}"] = time.monotonic() + 1
        return granting(token, expires_in=1)

    def react(received: Received) -> Reaction:
        if time.monotonic() >= alive_until[received.headers["authorization"]]:
            return answering(401, fcm_error(401, "UNAUTHENTICATED"))
        return lambda exchange: later(exchange, 0.1)

    def later(exchange: Exchange, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, accept, exchange)

    token_server.answer, fcm.react = grant, react
    result = await make_service(max_concurrent_requests=2).send_push(make_targets(50), make_payload())
    assert outcomes(result.results) == [Outcome.ACCEPTED] * 50
    assert len(fcm.requests) == 50, "no token was refused"
    assert len(token_server.posted) >= 3


async def test_a_token_that_runs_out_on_its_way_costs_no_credential(
    fcm: FcmSocket, make_service: MakeService, token_server: TokenServer
) -> None:
    token_server.answer = lambda _: granting(f"token-{len(token_server.posted)}", expires_in=0.001)
    fcm.react = lambda _: answering(401, fcm_error(401, "UNAUTHENTICATED"))
    result = await make_service().send_push(make_targets(3), make_payload())
    assert outcomes(result.results) == [Outcome.THROTTLED] * 3
    assert {each.classification.code for each in result.results} == {"TOKEN_RAN_OUT"}
    assert all(each.classification.unreached for each in result.results)

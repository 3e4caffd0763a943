"""The FCM channel against the simulator: its audit says what really was accepted."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from local_stack.types import LocalStackParams, SimulatorAddress
from modules.application.errors import InvalidInputError
from modules.config.types import FcmSettings
from modules.device_token.types import TargetKind
from modules.notification.errors import ProviderRefusedError, ProviderUnavailableError
from modules.notification.internals.fcm_params import FCMParams
from modules.notification.internals.fcm_service import FCMService
from modules.notification.types import Outcome, TargetAction, ThrottleScope
from simulator.audit_log import AuditEntry
from simulator.client import SimulatorControl
from tests.support.fcm_factories import NOTIFICATION_ID, make_params, make_payload, make_target
from tests.support.servers import start_stack


@pytest.fixture(scope="module")
def address() -> Iterator[SimulatorAddress]:
    params = LocalStackParams(folder=Path(), temporal=False, mongodb=False, use_configured=False)
    with start_stack("fcm", params) as stack:
        yield stack.simulator


@pytest.fixture
def simulator(address: SimulatorAddress) -> Iterator[SimulatorControl]:
    control = SimulatorControl(address.endpoint, address.ca_file)
    yield control
    control.reset()


@pytest_asyncio.fixture
async def service(address: SimulatorAddress) -> AsyncIterator[FCMService]:
    settings = FcmSettings(
        credentials_path=address.credentials_path,
        project_id=None,
        link_base=None,
        endpoint=address.endpoint,
        ca_file=address.ca_file,
        connect_timeout_seconds=5,
        request_timeout_seconds=1.5,
        max_concurrent_requests=150,
        apps={},
    )
    service = FCMService(settings=settings)
    yield service
    await service.close()


@pytest.fixture
def run_id() -> str:
    """Keeps one test's targets apart from all others in the audit."""
    return uuid.uuid4().hex


def entries_of(simulator: SimulatorControl, run_id: str) -> list[AuditEntry]:
    return [entry for entry in simulator.audit() if run_id in entry["target"]]


async def test_what_is_accepted_stands_in_the_audit(
    simulator: SimulatorControl, service: FCMService, run_id: str
) -> None:
    targets = [
        make_target(1, address=f"{run_id}-1"),
        make_target(2, address=f"{run_id}-2", kind=TargetKind.FID),
    ]
    payload = make_payload(ttl_seconds=600, immediate=True)
    result = await service.send_push(targets, payload)
    entries = {entry["target"]: entry for entry in entries_of(simulator, run_id)}
    assert [entries[target.address]["message_id"] for target in targets] == [
        accepted.message_id for accepted in result.accepted
    ]
    assert [entries[target.address]["target_kind"] for target in targets] == ["token", "fid"]
    for entry in entries.values():
        assert entry["android_tag"] == entry["apns_collapse_id"] == entry["webpush_tag"] == NOTIFICATION_ID
        assert (entry["ttl"], entry["android_collapse_key"]) == ("600s", None)


async def test_each_error_of_the_simulator_has_its_outcome(
    simulator: SimulatorControl, service: FCMService, run_id: str
) -> None:
    expected = {
        "UNREGISTERED": Outcome.TARGET_DEAD,
        "SENDER_ID_MISMATCH": Outcome.TARGET_DEAD,
        "INVALID_ARGUMENT": Outcome.PERMANENT,
        "QUOTA_EXCEEDED+retry-after=7+quota=device": Outcome.THROTTLED,
        "UNAVAILABLE+retry-after=9": Outcome.TRANSIENT,
        "INTERNAL": Outcome.TRANSIENT,
        "THIRD_PARTY_AUTH_ERROR": Outcome.MISCONFIGURED,
        "404": Outcome.MISCONFIGURED,
        "502": Outcome.TRANSIENT,
        "503": Outcome.TRANSIENT,
        "ok": Outcome.ACCEPTED,
    }
    targets = [
        make_target(number, address=f"sim-{what}-{run_id}") for number, what in enumerate(expected, start=1)
    ]
    result = await service.send_push(targets, make_payload())
    assert [entry.outcome for entry in result.results] == list(expected.values())
    assert result.results[0].classification.target_action is TargetAction.DEACTIVATE
    assert result.results[1].classification.target_action is TargetAction.QUARANTINE
    assert result.results[3].classification.retry_after_seconds == 7
    assert result.results[3].classification.scope is ThrottleScope.DEVICE
    assert result.results[4].classification.retry_after_seconds == 9
    assert len(entries_of(simulator, run_id)) == 1


@pytest.mark.parametrize(
    ("effect", "outcome", "accepted"),
    [
        ("lost-response", Outcome.UNKNOWN, 1),
        ("lost-connection", Outcome.UNKNOWN, 1),
        ("hang", Outcome.UNKNOWN, 1),
        ("drip", Outcome.UNKNOWN, 1),
        ("goaway", Outcome.ACCEPTED, 1),
        ("reset", Outcome.THROTTLED, 0),
    ],
)
async def test_what_nobody_can_know_is_unknown_and_not_repeated(
    effect: str,
    outcome: Outcome,
    accepted: int,
    simulator: SimulatorControl,
    service: FCMService,
    run_id: str,
) -> None:
    result = await service.send_push([make_target(address=f"sim-{effect}-{run_id}")], make_payload())
    assert result.results[0].outcome is outcome
    assert len(entries_of(simulator, run_id)) == accepted


@pytest.mark.parametrize("effect", ["goaway-unprocessed*1", "reset*1"])
async def test_what_was_left_unread_is_sent_again_and_accepted_once(
    effect: str, simulator: SimulatorControl, service: FCMService, run_id: str
) -> None:
    result = await service.send_push([make_target(address=f"sim-{effect}-{run_id}")], make_payload())
    assert result.results[0].outcome is Outcome.ACCEPTED
    assert len(entries_of(simulator, run_id)) == 1


@pytest.mark.parametrize("requests", [37, 200])
async def test_connections_that_close_all_the_time_repeat_nothing(
    requests: int, simulator: SimulatorControl, service: FCMService, run_id: str
) -> None:
    simulator.goaway_every(requests)
    before = simulator.stats()["goaways"]
    targets = [make_target(number, address=f"{run_id}-{number}") for number in range(500)]
    results = await asyncio.gather(*(service.send_push(targets, make_payload()) for _ in range(2)))
    assert simulator.stats()["goaways"] - before >= 4
    accepted = Counter(entry.device_id for result in results for entry in result.accepted)
    audited = Counter(entry["target"] for entry in entries_of(simulator, run_id))
    assert {
        target.address: accepted[target.device_id] for target in targets if accepted[target.device_id]
    } == audited
    # A stream left unread three times in a row is given back as such.
    codes = {entry.classification.code for result in results for entry in result.failed}
    assert codes <= ({"STREAM_REFUSED"} if requests < 100 else set())


async def test_a_revoked_token_is_replaced_without_a_word(
    simulator: SimulatorControl, service: FCMService, run_id: str
) -> None:
    await service.check_credentials()
    simulator.revoke_tokens()
    targets = [make_target(number, address=f"{run_id}-{number}") for number in range(50)]
    issued = simulator.stats()["tokens_issued"]
    result = await service.send_push(targets, make_payload())
    assert len(result.accepted) == 50
    assert simulator.stats()["tokens_issued"] == issued + 1


async def test_the_check_is_validated_and_not_sent(simulator: SimulatorControl, service: FCMService) -> None:
    since = simulator.position()
    await service.check_provider()
    assert simulator.audit(since) == []
    [entry] = simulator.audit(since, include_validated=True)
    assert (entry["validate_only"], entry["target_kind"]) == (True, "topic")


async def test_the_check_says_that_the_key_was_revoked(
    simulator: SimulatorControl, service: FCMService
) -> None:
    simulator.set_oauth("invalid_grant")
    with pytest.raises(ProviderRefusedError, match=r"fcm_token_refused: .*invalid_grant"):
        await service.check_provider()


async def test_the_check_says_that_the_token_server_is_slow(
    simulator: SimulatorControl, service: FCMService
) -> None:
    simulator.set_oauth(delay_ms=2500)
    with pytest.raises(ProviderUnavailableError, match=r"no answer in time"):
        await service.check_provider()


async def test_what_fills_the_limit_is_taken(
    simulator: SimulatorControl, service: FCMService, run_id: str
) -> None:
    low, high = 0, 5000
    while low < high:
        middle = (low + high + 1) // 2
        try:
            FCMParams(params=make_params(body="é" * middle)).validate()
            low = middle
        except InvalidInputError:
            high = middle - 1
    payload = make_payload(params=make_params(body="é" * low), notification_id="0" * 36)
    result = await service.send_push([make_target(address=run_id)], payload)
    assert result.results[0].outcome is Outcome.ACCEPTED
    [entry] = entries_of(simulator, run_id)
    assert 4094 < entry["size_bytes"] <= 4096

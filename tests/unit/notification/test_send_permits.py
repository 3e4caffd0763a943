"""What may go out keeps to the shared rate: who waits, who never does, and what a pause stops."""

from __future__ import annotations

import asyncio

import pytest

from modules.application.errors import UnavailableError
from modules.notification.internals.guards import send_permits
from modules.notification.internals.guards.send_permits import SendPermits
from modules.notification.types import Classification, Outcome, TargetResult, ThrottleScope


class Governor:
    """Answers as told and remembers what it was asked; grants nothing once `grants` are used up."""

    def __init__(self, *grants: int, paused: float = 0.0) -> None:
        self.grants = list(grants)
        self.paused = paused
        self.wanted: list[tuple[str, str, int]] = []
        self.spent: list[tuple[str, int]] = []
        self.pauses: list[tuple[str, float, str]] = []
        self.given_back: list[tuple[str, str, int]] = []
        self.error: Exception | None = None

    async def acquire(self, app_id: str, *, flow: str, wanted: int) -> int:
        if self.error is not None:
            raise self.error
        self.wanted.append((app_id, flow, wanted))
        if not self.grants:
            await asyncio.Event().wait()
        return min(wanted, self.grants.pop(0))

    def give_back(self, app_id: str, *, flow: str, count: int) -> None:
        self.given_back.append((app_id, flow, count))

    def spend(self, app_id: str, count: int) -> None:
        self.spent.append((app_id, count))

    def pause(self, app_id: str, seconds: float, code: str) -> None:
        self.pauses.append((app_id, seconds, code))

    def paused_seconds(self, app_id: str) -> float:
        return self.paused


def permits_of(governor: Governor, *, immediate: bool = False) -> SendPermits:
    return SendPermits(governor, frozenset({"default"}), immediate=immediate)  # type: ignore[arg-type]


async def taken(governor: Governor, wanted: int, **over: bool) -> int | Classification:
    return await permits_of(governor, **over).take("default", flow="ordinary", wanted=wanted)


async def test_messages_go_out_as_permits_come() -> None:
    assert await taken(Governor(7), 20) == 7


async def test_permits_that_come_in_pieces_go_out_together() -> None:
    governor = Governor(2, 2, 9)
    assert await taken(governor, 5) == 5
    assert [wanted for *_, wanted in governor.wanted] == [5, 3, 1]


async def test_nobody_waits_for_a_permit_for_long_without_looking_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_permits, "ASK_AGAIN_SECONDS", 0.01)
    assert await taken(Governor(), 5) == 0


async def test_immediate_messages_never_wait_and_are_taken_off_the_rate() -> None:
    governor = Governor()
    assert await taken(governor, 2, immediate=True) == 2
    permits_of(governor, immediate=True).settle("default", flow="ordinary", granted=2, used=2)
    assert (governor.spent, governor.wanted) == ([("default", 2)], [])


@pytest.mark.parametrize("immediate", [True, False])
async def test_a_pause_lets_nothing_out_and_spends_no_retry(immediate: bool) -> None:
    said = await taken(Governor(9, paused=30.0), 2, immediate=immediate)
    assert isinstance(said, Classification)
    assert (said.outcome, said.attempted, said.retry_after_seconds) == (Outcome.THROTTLED, False, 30.0)


async def test_an_app_without_credentials_has_no_rate() -> None:
    governor = Governor(paused=30.0)
    permits = permits_of(governor)
    assert await permits.take("invented", flow="ordinary", wanted=3) == 3
    permits.settle("invented", flow="ordinary", granted=3, used=0)
    assert (governor.wanted, governor.given_back) == ([], [])


async def test_without_the_shared_rate_nothing_is_let_out_and_no_retry_is_spent() -> None:
    governor = Governor()
    governor.error = UnavailableError(code="database_unavailable", reason="away")
    said = await taken(governor, 1)
    assert isinstance(said, Classification)
    assert (said.code, said.attempted) == ("RATE_UNKNOWN", False)


async def test_permits_that_were_not_used_go_back() -> None:
    governor = Governor()
    permits_of(governor).settle("default", flow="ordinary", granted=5, used=2)
    permits_of(governor).settle("default", flow="ordinary", granted=5, used=5)
    permits_of(governor, immediate=True).settle("default", flow="ordinary", granted=3, used=0)
    assert (governor.given_back, governor.spent) == ([("default", "ordinary", 3)], [])


async def test_permits_that_were_had_before_the_rate_could_not_be_read_are_used() -> None:
    governor = Governor(2)
    acquire = governor.acquire

    async def acquire_once(app_id: str, *, flow: str, wanted: int) -> int:
        granted = await acquire(app_id, flow=flow, wanted=wanted)
        governor.error = UnavailableError(code="database_unavailable", reason="away")
        return granted

    governor.acquire = acquire_once  # type: ignore[method-assign]
    assert await taken(governor, 5) == 2


@pytest.mark.parametrize(("scope", "pauses"), [(ThrottleScope.PROJECT, 1), (ThrottleScope.DEVICE, 0)])
def test_a_providers_slow_down_for_the_project_pauses_the_app_for_everyone(
    scope: ThrottleScope, pauses: int
) -> None:
    governor = Governor()
    verdict = Classification(
        outcome=Outcome.THROTTLED, code="QUOTA_EXCEEDED", reason="", retry_after_seconds=40.0, scope=scope
    )
    result = TargetResult(device_id="device-1", classification=verdict)
    permits_of(governor).note("default", result)
    assert governor.pauses == [("default", 40.0, "QUOTA_EXCEEDED")] * pauses

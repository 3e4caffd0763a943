"""What is sent keeps to the shared rate: who waits, who never does, and what a pause stops."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from modules.application.errors import UnavailableError
from modules.device_token.types import Platform, TargetKind
from modules.notification.internals.governed_channel import GovernedChannel
from modules.notification.types import (
    Classification,
    Outcome,
    Push,
    PushPayload,
    PushTarget,
    SendPushParams,
    SendPushResult,
    TargetResult,
    ThrottleScope,
)

ACCEPTED = Classification(outcome=Outcome.ACCEPTED, code="OK", reason="")
PAUSING = Classification(
    outcome=Outcome.THROTTLED,
    code="QUOTA_EXCEEDED",
    reason="",
    retry_after_seconds=40.0,
    scope=ThrottleScope.PROJECT,
)


class Governor:
    """Answers as told and remembers what it was asked."""

    def __init__(self, *, granted: int = 1_000, paused: dict[str, float] | None = None) -> None:
        self.granted = granted
        self.paused = paused or {}
        self.acquired: list[tuple[str, str, int]] = []
        self.spent: list[tuple[str, int]] = []
        self.pauses: list[tuple[str, float, str]] = []
        self.error: Exception | None = None

    async def acquire(self, app_id: str, *, flow: str, wanted: int) -> int:
        if self.error is not None:
            raise self.error
        granted = min(wanted, self.granted)
        self.acquired.append((app_id, flow, granted))
        return granted

    def spend(self, app_id: str, count: int) -> None:
        self.spent.append((app_id, count))

    def pause(self, app_id: str, seconds: float, code: str) -> None:
        self.pauses.append((app_id, seconds, code))

    def paused_seconds(self, app_id: str) -> float:
        return self.paused.get(app_id, 0.0)


class Channel:
    """A provider that gives every target the same answer."""

    app_ids = ("default", "other")

    def __init__(self, answer: Classification = ACCEPTED) -> None:
        self.answer = answer
        self.sent: list[str] = []

    async def send_each(
        self, pushes: Sequence[Push], *, may_send: Callable[[], bool]
    ) -> list[SendPushResult]:
        assert may_send()
        self.sent += [target.device_id for push in pushes for target in push.targets]
        return [
            SendPushResult(
                results=tuple(
                    TargetResult(device_id=target.device_id, classification=self.answer)
                    for target in push.targets
                )
            )
            for push in pushes
        ]


def target(name: str, app_id: str = "default") -> PushTarget:
    return PushTarget(
        device_id=name, app_id=app_id, kind=TargetKind.TOKEN, platform=Platform.ANDROID, address=name
    )


def push(*targets: PushTarget, flow: str = "ordinary") -> Push:
    payload = PushPayload(notification_id="0" * 24, params=SendPushParams(title="t", body="b"))
    return Push(targets=targets, payload=payload, flow=flow)


async def send(
    governor: Governor, channel: Channel, *pushes: Push, immediate: bool = False
) -> list[SendPushResult]:
    governed = GovernedChannel(channel, governor, immediate=immediate)  # type: ignore[arg-type]
    return await governed.send_each(pushes, may_send=lambda: True)


async def test_every_message_has_a_permit_of_its_app_and_flow() -> None:
    governor, channel = Governor(), Channel()
    await send(
        governor,
        channel,
        push(target("a"), target("b"), flow="campaign/1"),
        push(target("c"), target("d", "other")),
    )
    assert sorted(governor.acquired) == [
        ("default", "campaign/1", 2),
        ("default", "ordinary", 1),
        ("other", "ordinary", 1),
    ]
    assert channel.sent == ["a", "b", "c", "d"]


async def test_permits_that_come_in_parts_are_waited_for() -> None:
    governor, channel = Governor(granted=2), Channel()
    await send(governor, channel, push(*(target(str(number)) for number in range(5))))
    assert [granted for _, _, granted in governor.acquired] == [2, 2, 1]
    assert len(channel.sent) == 5


async def test_immediate_messages_never_wait_and_are_taken_off_the_rate() -> None:
    governor, channel = Governor(), Channel()
    governor.error = AssertionError("immediate messages ask for no permit")
    await send(governor, channel, push(target("a"), target("b")), immediate=True)
    assert (governor.spent, channel.sent) == ([("default", 2)], ["a", "b"])


async def test_nothing_is_attempted_in_a_pause_and_no_retry_is_spent() -> None:
    for immediate in (True, False):
        governor, channel = Governor(paused={"default": 30.0}), Channel()
        [result] = await send(
            governor, channel, push(target("a"), target("b", "other"), target("c")), immediate=immediate
        )
        verdicts = [each.classification for each in result.results]
        assert [(each.outcome, each.attempted) for each in verdicts] == [
            (Outcome.THROTTLED, False),
            (Outcome.ACCEPTED, True),
            (Outcome.THROTTLED, False),
        ]
        assert [each.device_id for each in result.results] == ["a", "b", "c"]
        assert verdicts[0].retry_after_seconds == 30.0
        assert channel.sent == ["b"]


async def test_an_app_without_credentials_has_no_rate_and_is_answered_at_once() -> None:
    for immediate in (True, False):
        for paused in ({}, {"default": 30.0}):
            governor, channel = Governor(paused=paused), Channel()
            targets = [target("a"), target("b", "invented")]
            [result] = await send(governor, channel, push(*targets), immediate=immediate)
            asked = {app_id for app_id, *_ in (*governor.acquired, *governor.spent)}
            assert asked == (set() if paused else {"default"})
            assert channel.sent == (["b"] if paused else ["a", "b"])
            assert [each.classification.attempted for each in result.results] == [not paused, True]


async def test_a_providers_slow_down_pauses_the_app_for_everyone() -> None:
    governor = Governor()
    await send(governor, Channel(PAUSING), push(target("a")))
    assert governor.pauses == [("default", 40.0, "QUOTA_EXCEEDED")]


async def test_without_the_shared_rate_nothing_is_sent_and_no_retry_is_spent() -> None:
    governor, channel = Governor(), Channel()
    governor.error = UnavailableError(code="database_unavailable", reason="away")
    [result] = await send(governor, channel, push(target("a")))
    verdict = result.results[0].classification
    assert (verdict.code, verdict.attempted, channel.sent) == ("RATE_UNKNOWN", False, [])

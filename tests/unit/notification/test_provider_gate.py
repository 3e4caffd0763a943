"""The gate: one result a target in the targets' order, and nothing on the wire that is not admitted."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.device_token.types import Platform
from modules.notification.internals.guards.provider_gate import ProviderGate
from modules.notification.types import (
    Classification,
    Outcome,
    Push,
    PushTarget,
    ThrottleScope,
)
from tests.support.fcm_factories import make_payload, make_target, make_targets
from tests.unit.notification.scripted_channels import (
    COOLDOWN,
    SETTINGS,
    THRESHOLD,
    Clock,
    OneByOneChannel,
    RefusesRepeats,
    RepeatingChannel,
    make_gate,
    send,
    until_sent,
    verdict,
)


@given(
    st.lists(st.tuples(st.sampled_from(["one", "two"]), st.sampled_from(Platform)), max_size=20),
    st.lists(st.sampled_from(Outcome), min_size=1, max_size=20),
    st.integers(1, 4),
)
def test_one_result_a_target_in_order(
    credentials: list[tuple[str, Platform]], outcomes: list[Outcome], calls: int
) -> None:
    numbers = iter(range(10_000))
    gate, channel, _ = make_gate(lambda _: verdict(outcomes[next(numbers) % len(outcomes)]))
    targets = [
        make_target(number, app_id=app_id, platform=platform)
        for number, (app_id, platform) in enumerate(credentials)
    ]
    for _ in range(calls):
        channel.sent.clear()
        result = asyncio.run(send(gate, targets))
        assert [each.device_id for each in result.results] == [each.device_id for each in targets]
        attempted = {each.device_id for each in result.results if each.classification.attempted}
        assert attempted == set(channel.sent)


async def test_an_open_breaker_lets_nothing_through_and_costs_no_retry() -> None:
    gate, channel, _ = make_gate(lambda _: verdict(Outcome.TRANSIENT))
    await send(gate, make_targets(THRESHOLD))
    channel.sent.clear()
    result = await send(gate, make_targets(5))
    assert channel.sent == []
    assert {each.outcome for each in result.results} == {Outcome.THROTTLED}
    assert {each.classification.code for each in result.results} == {"CIRCUIT_OPEN"}
    assert all(each.classification.retry_after_seconds == COOLDOWN for each in result.results)


@pytest.mark.parametrize(
    ("outcome", "asked"), [(Outcome.MISCONFIGURED, 1), (Outcome.TRANSIENT, THRESHOLD), (Outcome.ACCEPTED, 20)]
)
async def test_a_provider_that_fails_midway_is_not_asked_for_the_rest(outcome: Outcome, asked: int) -> None:
    channel = OneByOneChannel(lambda _: verdict(outcome))
    result = await send(ProviderGate(channel, SETTINGS, clock=Clock()), make_targets(20))
    assert len(channel.sent) == asked
    assert [each.classification.attempted for each in result.results] == [True] * asked + [False] * (
        20 - asked
    )


async def test_one_probe_of_a_page_goes_out_and_its_answer_opens_the_way() -> None:
    gate, channel, clock = make_gate(lambda _: verdict(Outcome.MISCONFIGURED))
    await send(gate, make_targets(1))
    clock.now, channel.answer = COOLDOWN, lambda _: verdict()
    channel.sent.clear()
    first = await send(gate, make_targets(4))
    [probe] = channel.sent
    assert {each.device_id: each.outcome for each in first.results} == {
        target.device_id: Outcome.ACCEPTED if target.device_id == probe else Outcome.THROTTLED
        for target in make_targets(4)
    }
    second = await send(gate, make_targets(4))
    assert [each.outcome for each in second.results] == [Outcome.ACCEPTED] * 4


async def test_a_probe_that_is_asked_about_again_is_the_same_probe() -> None:
    channel, clock = RepeatingChannel(lambda _: verdict(Outcome.MISCONFIGURED)), Clock()
    gate = ProviderGate(channel, SETTINGS, clock=clock)
    await send(gate, make_targets(1))
    clock.now, channel.answer = COOLDOWN, lambda _: verdict()
    assert [each.outcome for each in (await send(gate, make_targets(1))).results] == [Outcome.ACCEPTED]


async def test_a_probe_that_is_held_back_when_asked_again_leaves_its_place_to_another() -> None:
    channel, clock = RepeatingChannel(lambda _: verdict(Outcome.MISCONFIGURED)), Clock()
    gate = ProviderGate(channel, SETTINGS, clock=clock)
    await send(gate, make_targets(1))
    clock.now, channel.answer = COOLDOWN, lambda _: verdict()
    held_back = Push(targets=make_targets(1), payload=make_payload())
    await gate.send_each([held_back, held_back], guard=RefusesRepeats())
    assert [each.outcome for each in (await send(gate, make_targets(1))).results] == [Outcome.ACCEPTED]


async def test_a_refused_platform_leaves_the_others_open() -> None:
    gate, channel, _ = make_gate(
        lambda target: verdict(Outcome.MISCONFIGURED if target.platform is Platform.IOS else Outcome.ACCEPTED)
    )
    targets = [make_target(1, platform=Platform.IOS), make_target(2, platform=Platform.ANDROID)]
    await send(gate, targets)
    channel.sent.clear()
    result = await send(gate, targets)
    assert channel.sent == ["device-2"]
    assert [each.outcome for each in result.results] == [Outcome.THROTTLED, Outcome.ACCEPTED]


async def test_another_app_is_not_held_up() -> None:
    gate, channel, _ = make_gate(
        lambda target: verdict(Outcome.MISCONFIGURED if target.app_id == "broken" else Outcome.ACCEPTED)
    )
    targets = [make_target(1, app_id="broken"), make_target(2, app_id="sound")]
    await send(gate, targets)
    channel.sent.clear()
    await send(gate, targets)
    assert channel.sent == ["device-2"]


async def test_apps_without_credentials_have_no_breakers_and_get_the_channels_answer() -> None:
    def answer(target: PushTarget) -> Classification:
        known = target.app_id == "sound"
        return verdict() if known else verdict(Outcome.MISCONFIGURED, code="APP_UNKNOWN", attempted=False)

    gate, _, _ = make_gate(answer)
    for number in range(20):
        targets = [make_target(1, app_id="sound"), make_target(2, app_id=f"invented-{number}")]
        result = await send(gate, targets)
        assert [each.outcome for each in result.results] == [Outcome.ACCEPTED, Outcome.MISCONFIGURED]
        assert result.results[1].classification.code == "APP_UNKNOWN"
    assert len(gate._breakers) == 2


async def test_an_app_without_credentials_is_answered_beside_one_that_is_held_up() -> None:
    gate, channel, _ = make_gate(
        lambda target: verdict(Outcome.MISCONFIGURED, attempted=target.app_id == "broken")
    )
    await send(gate, [make_target(1, app_id="broken")])
    channel.sent.clear()
    await send(gate, [make_target(1, app_id="broken"), make_target(2, app_id="invented")])
    assert channel.sent == ["device-2"]


async def test_a_project_quota_pauses_every_platform_of_the_app() -> None:
    gate, channel, clock = make_gate(
        lambda _: verdict(Outcome.THROTTLED, scope=ThrottleScope.PROJECT, retry_after_seconds=60.0)
    )
    await send(gate, [make_target(1, platform=Platform.ANDROID)])
    channel.sent.clear()
    clock.now, channel.answer = 59.0, lambda _: verdict()
    result = await send(gate, [make_target(2, platform=Platform.WEB)])
    assert channel.sent == []
    assert result.results[0].classification.code == "PROVIDER_PAUSED"
    assert result.results[0].classification.retry_after_seconds == pytest.approx(1.0)
    clock.now = 60.0
    await send(gate, [make_target(2, platform=Platform.WEB)])
    assert channel.sent == ["device-2"]


async def test_a_device_quota_of_one_platform_does_not_close_another_ones_breaker() -> None:
    def answer(target: PushTarget) -> Classification:
        if target.platform is Platform.IOS:
            return verdict(Outcome.MISCONFIGURED)
        return verdict(Outcome.THROTTLED, scope=ThrottleScope.DEVICE, retry_after_seconds=60.0)

    gate, channel, _ = make_gate(answer)
    await send(gate, [make_target(1, platform=Platform.IOS)])
    await send(gate, [make_target(2, platform=Platform.ANDROID)])
    channel.sent.clear()
    await send(gate, [make_target(1, platform=Platform.IOS)])
    assert channel.sent == []


@pytest.mark.parametrize("failure", [RuntimeError("channel broke"), asyncio.CancelledError()])
async def test_a_probe_that_is_cut_off_is_made_again(failure: BaseException) -> None:
    gate, channel, clock = make_gate(lambda _: verdict(Outcome.MISCONFIGURED))
    await send(gate, make_targets(1))
    clock.now = COOLDOWN

    def cut_off(_: PushTarget) -> Classification:
        raise failure

    channel.answer = cut_off
    with pytest.raises(type(failure)):
        await send(gate, make_targets(1))
    channel.answer = lambda _: verdict()
    result = await send(gate, make_targets(1))
    assert result.results[0].outcome is Outcome.ACCEPTED


async def test_a_cancelled_ordinary_send_lets_no_second_probe_out() -> None:
    """Whoever was admitted before the breaker opened holds no probe, so has none to give back."""
    gate, channel, clock = make_gate()
    channel.holding = asyncio.Event()
    ordinary = asyncio.create_task(send(gate, make_targets(1)))
    await until_sent(channel, 1)
    channel.holding, channel.answer = None, lambda _: verdict(Outcome.MISCONFIGURED)
    await send(gate, make_targets(1))
    clock.now, channel.holding, channel.answer = COOLDOWN, asyncio.Event(), lambda _: verdict()
    probe = asyncio.create_task(send(gate, make_targets(1)))
    await until_sent(channel, 3)
    ordinary.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ordinary
    refused = await send(gate, make_targets(1))
    assert refused.results[0].classification.code == "CIRCUIT_OPEN"
    channel.holding.set()
    assert (await probe).results[0].outcome is Outcome.ACCEPTED


async def test_a_probe_that_never_left_is_made_again_and_closes_nothing() -> None:
    gate, channel, clock = make_gate(lambda _: verdict(Outcome.MISCONFIGURED))
    await send(gate, make_targets(1))
    clock.now, channel.answer = COOLDOWN, lambda _: verdict(Outcome.PERMANENT, attempted=False)
    await send(gate, make_targets(1))
    channel.sent.clear()
    channel.answer = lambda _: verdict()
    result = await send(gate, make_targets(2))
    assert len(channel.sent) == 1, "half open still: one probe of the two"
    outcomes = {each.device_id: each.outcome for each in result.results}
    assert outcomes.pop(channel.sent[0]) is Outcome.ACCEPTED
    assert list(outcomes.values()) == [Outcome.THROTTLED]


async def test_a_channel_that_loses_results_keeps_no_probe() -> None:
    gate, channel, clock = make_gate(lambda _: verdict(Outcome.MISCONFIGURED))
    await send(gate, make_targets(1))
    clock.now, channel.losing, channel.answer = COOLDOWN, True, lambda _: verdict()
    with pytest.raises(ValueError, match="zip"):
        await send(gate, make_targets(1))
    channel.losing = False
    result = await send(gate, make_targets(1))
    assert result.results[0].outcome is Outcome.ACCEPTED


async def test_warms_checks_and_closes_the_channel_behind_it() -> None:
    gate, channel, _ = make_gate()
    await gate.warm_up()
    await gate.check_provider("default")
    await gate.close()
    assert (channel.warmed, channel.checked, channel.closed) == (True, ["default"], True)


async def test_a_check_of_a_payload_goes_past_a_breaker_that_is_open() -> None:
    gate, channel, _ = make_gate(lambda _: verdict(Outcome.MISCONFIGURED))
    for _ in range(THRESHOLD):
        await send(gate, [make_target()])
    await gate.validate_push([make_target()], make_payload())
    assert channel.validated == [make_target().address]


async def test_the_probes_of_an_outage_are_not_all_the_same_row() -> None:
    gate, channel, clock = make_gate(lambda _: verdict(Outcome.MISCONFIGURED))
    await send(gate, make_targets(1))
    channel.sent.clear()
    for round_ in range(1, 41):
        clock.now = COOLDOWN * round_
        await send(gate, make_targets(4))
    assert len(channel.sent) == 40
    assert len(set(channel.sent)) > 1

"""The rate of a credential: what holds whatever the order of events, and examples of each rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.notification.internals.domain.rate_quota import Grant, RateLimits, RateQuota, RateState

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
QUOTA = 6_000
OPEN_PER_SECOND = 90.0
RESERVE_PER_SECOND = 10.0
ROUNDING = 1e-3


def make_quota(**over: float) -> RateQuota:
    said = {"ramp_seconds": 0.0, **over}
    return RateQuota(
        RateLimits(
            quota_per_minute=int(said.get("quota_per_minute", QUOTA)),
            ramp_seconds=said["ramp_seconds"],
            reserved_share=said.get("reserved_share", 0.1),
        )
    )


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class Credential:
    """A quota with its state, asked at seconds since the start."""

    def __init__(self, quota: RateQuota) -> None:
        self.quota = quota
        self.state: RateState = quota.fresh(START)

    def grant(self, flow: str, wanted: int, seconds: float) -> Grant:
        grant = self.quota.grant(self.state, flow, wanted, after(seconds))
        self.state = grant.state
        return grant

    def spend(self, count: int, seconds: float) -> None:
        self.state = self.quota.spend(self.state, count, after(seconds))

    def pause(self, until: float, code: str = "QUOTA_EXCEEDED") -> None:
        self.state = self.quota.pause(self.state, after(until), code)

    def granted_between(self, start: int, end: int, flow: str = "a") -> int:
        """By asking for more than there is, ten times a second."""
        return sum(self.grant(flow, 10**6, tenth / 10).granted for tenth in range(start * 10, end * 10))


steps = st.lists(
    st.tuples(
        st.sampled_from(["grant", "grant", "grant", "spend", "give_back", "pause"]),
        st.sampled_from([0.0, 0.001, 0.1, 0.25, 1.0, 3.0, 20.0, 61.0]),
        st.sampled_from(["a", "b", "c"]),
        st.integers(1, 20_000),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(steps=steps, ramp_seconds=st.sampled_from([0.0, 60.0]))
def test_no_minute_has_more_than_the_open_quota_and_one_burst(
    steps: list[tuple[str, float, str, int]], ramp_seconds: float
) -> None:
    credential = Credential(make_quota(ramp_seconds=ramp_seconds))
    now, outstanding = 0.0, 0
    events: list[tuple[float, int]] = []
    for kind, seconds, flow, count in steps:
        now += seconds
        if kind == "grant":
            grant = credential.grant(flow, count, now)
            assert 0 <= grant.granted <= count
            assert (grant.wait_seconds > 0) == (grant.granted < count)
            events.append((now, grant.granted))
            outstanding += grant.granted
        elif kind == "spend":
            credential.spend(count, now)
        elif kind == "pause":
            credential.pause(now + count / 20_000)
        else:
            returned = min(count, outstanding)
            credential.state = credential.quota.give_back(credential.state, returned)
            outstanding -= returned
            events.append((now, -returned))
    for first, (opened, _) in enumerate(events):
        window = [count for at, count in events[first:] if at - opened <= 60.0]
        assert sum(window) <= OPEN_PER_SECOND * 61 + ROUNDING


@given(spends=st.lists(st.integers(1, 500), min_size=1, max_size=10))
def test_immediate_messages_beyond_the_reserve_are_taken_from_the_others(spends: list[int]) -> None:
    quiet, busy = Credential(make_quota()), Credential(make_quota())
    granted = 0
    for second, count in enumerate(spends):
        busy.spend(count, second)
        granted += busy.granted_between(second, second + 1)
    debt = max(0.0, -busy.state.tokens())
    assert granted + sum(spends) - debt <= QUOTA / 60 * (len(spends) + 1) + ROUNDING
    assert granted >= quiet.granted_between(0, len(spends)) - sum(spends) - 1


@given(moments=st.lists(st.floats(0, 120), min_size=1), until=st.floats(1, 60))
def test_nothing_is_granted_in_a_pause_and_the_wait_is_its_end(moments: list[float], until: float) -> None:
    credential = Credential(make_quota())
    credential.pause(until)
    for moment in sorted(moments):
        grant = credential.grant("a", 1, moment)
        if after(moment) < after(until):
            assert grant.granted == 0
            assert grant.wait_seconds == pytest.approx((after(until) - after(moment)).total_seconds())


@given(pauses=st.lists(st.floats(0.001, 100), min_size=1))
def test_pauses_are_never_shortened(pauses: list[float]) -> None:
    credential = Credential(make_quota())
    for until in pauses:
        credential.pause(until, f"until {until}")
    assert credential.state.paused_until == after(max(pauses))
    assert after(float(credential.state.pause_code.removeprefix("until "))) == after(max(pauses))


@settings(max_examples=60)
@given(
    pace=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    wanted=st.tuples(st.integers(100, 10_000), st.integers(100, 10_000)),
    head_start=st.integers(0, 5),
)
def test_two_flows_that_want_more_than_there_is_get_alike(
    pace: tuple[int, int], wanted: tuple[int, int], head_start: int
) -> None:
    credential = Credential(make_quota())
    credential.granted_between(0, head_start)
    got = [0, 0]
    for tenth in range(head_start * 10, head_start * 10 + 200):
        for flow in (0, 1):
            if tenth % pace[flow] == 0:
                got[flow] += credential.grant("ab"[flow], wanted[flow], tenth / 10).granted
    assert min(got) > 0
    assert max(got) <= 1.3 * min(got)


def test_what_a_flow_does_not_want_is_free_for_the_others() -> None:
    credential = Credential(make_quota())
    modest = greedy = 0
    for tenth in range(200):
        modest += credential.grant("modest", 1, tenth / 10).granted
        greedy += credential.grant("greedy", 10_000, tenth / 10).granted
    assert modest == 200, "a flow within its share never waits"
    assert greedy >= OPEN_PER_SECOND * 20 - 200 - OPEN_PER_SECOND / 2


def test_a_flow_that_stopped_asking_holds_nothing_back() -> None:
    credential = Credential(make_quota())
    credential.grant("gone", 1, 0.0)
    credential.granted_between(0, 5)
    assert credential.granted_between(5, 15) == pytest.approx(OPEN_PER_SECOND * 10, abs=1)
    assert credential.grant("a", 1_000, 16.5).granted == 90, "all of the burst"


def test_a_flow_alone_gets_everything() -> None:
    credential = Credential(make_quota())
    assert credential.granted_between(0, 60) == pytest.approx(OPEN_PER_SECOND * 61, abs=10)


@given(flows=st.integers(2, 6))
def test_the_smallest_quota_serves_each_of_many_flows(flows: int) -> None:
    credential = Credential(make_quota(quota_per_minute=60))
    got = dict.fromkeys(range(flows), 0)
    for second in range(20 * flows):
        for flow in got:
            got[flow] += credential.grant(str(flow), 100, second).granted
    assert min(got.values()) >= 10
    assert sum(got.values()) <= 0.9 * 20 * flows + flows


def test_the_ramp_rises_evenly_from_a_hundredth_to_the_whole_rate() -> None:
    credential = Credential(make_quota(quota_per_minute=600_000, ramp_seconds=60.0))
    seconds = [credential.granted_between(second, second + 1) for second in range(90)]
    assert all(later >= earlier - 1 for earlier, later in pairwise(seconds[1:]))
    assert seconds[0] <= 2 * 90 + 150
    assert seconds[30] == pytest.approx(4_500, rel=0.05)
    assert seconds[61:] == pytest.approx([9_000] * 29, abs=1)


@pytest.mark.parametrize(("idle_seconds", "ramps_again"), [(59.0, False), (61.0, True)])
def test_the_ramp_starts_again_after_a_minute_without_traffic(idle_seconds: float, ramps_again: bool) -> None:
    credential = Credential(make_quota(quota_per_minute=600_000, ramp_seconds=60.0))
    credential.granted_between(0, 70)
    granted = credential.grant("a", 10_000, 69.9 + idle_seconds).granted
    assert granted == (90 if ramps_again else 9_000)


def test_a_trickle_does_not_keep_a_credential_warm() -> None:
    """Or one message a minute would let a campaign start at the full rate (FCM asks for a ramp from 0)."""
    credential = Credential(make_quota(quota_per_minute=600_000, ramp_seconds=60.0))
    credential.granted_between(0, 70)
    for second in range(70, 140):
        credential.grant("ordinary", 1, second)
        credential.spend(1, second)
    assert credential.grant("campaign", 10_000, 140.0).granted <= 90


def test_immediate_messages_within_the_reserve_cost_the_others_nothing() -> None:
    credential = Credential(make_quota())
    granted = 0
    for second in range(10):
        credential.spend(int(RESERVE_PER_SECOND), second)
        granted += credential.granted_between(second, second + 1)
    assert granted == pytest.approx(OPEN_PER_SECOND * 11, abs=10)


def test_a_debt_is_paid_before_anything_is_granted() -> None:
    credential = Credential(make_quota())
    credential.spend(int(RESERVE_PER_SECOND + 3 * OPEN_PER_SECOND), 0.0)
    assert credential.grant("a", 10, 1.9).granted == 0
    assert credential.grant("a", 10, 2.2).granted == 10


def test_immediate_messages_are_taken_from_what_is_set_aside_as_well() -> None:
    credential = Credential(make_quota())
    for flow in ("a", "b"):
        credential.grant(flow, 1, 0.0)
    credential.spend(int(RESERVE_PER_SECOND) + 80, 0.0)
    assert credential.grant("a", 1_000, 0.0).granted == 8


def test_no_debt_is_older_than_the_quotas_minute() -> None:
    credential = Credential(make_quota())
    credential.spend(10**9, 0.0)
    assert credential.grant("a", 1, 60.0).granted == 0
    assert credential.grant("a", 1, 67.0).granted == 1


def test_what_is_given_back_can_be_granted_again() -> None:
    credential = Credential(make_quota())
    assert credential.grant("a", 10_000, 0.0).granted == 90
    credential.state = credential.quota.give_back(credential.state, 40)
    assert credential.grant("a", 10_000, 0.0).granted == 40


@pytest.mark.parametrize("wanted", [1, 10, 1_000_000])
def test_asking_again_after_the_wait_is_worthwhile(wanted: int) -> None:
    credential = Credential(make_quota())
    credential.granted_between(0, 1)
    refused = credential.grant("a", wanted, 0.9)
    assert refused.granted < wanted
    assert 0 < refused.wait_seconds <= 0.26
    again = credential.grant("a", wanted, 0.901 + refused.wait_seconds)
    assert again.granted >= min(wanted, 22)


def test_a_clock_that_lags_behind_takes_nothing_away() -> None:
    credential = Credential(make_quota())
    credential.granted_between(0, 10)
    before = credential.state
    assert credential.grant("a", 10, 5.0).granted == 0
    assert credential.state.refilled_at == before.refilled_at
    assert credential.state.tokens() == pytest.approx(before.tokens())

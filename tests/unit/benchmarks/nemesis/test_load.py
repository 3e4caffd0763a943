"""What callers do is the seed's: the same again for the same one, and of every sort before long."""

from __future__ import annotations

from itertools import islice

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.nemesis.load import ACCOUNTS, campaigns, devices, moves, sends
from benchmarks.nemesis.records import What

SEEDS = st.text("abc/0123456789", min_size=1, max_size=12)
MANY = 200


@settings(max_examples=15)
@given(SEEDS, st.booleans())
def test_a_seed_gives_the_same_load_again(seed: str, immediate: bool) -> None:
    def drawn() -> tuple[list[object], ...]:
        return (
            list(islice(sends(seed, immediate=immediate), 20)),
            list(islice(campaigns(seed), 5)),
            list(islice(moves(seed, devices()), 20)),
        )

    assert drawn() == drawn()


@settings(max_examples=15)
@given(SEEDS)
def test_sends_are_of_every_sort(seed: str) -> None:
    drawn = list(islice(sends(seed, immediate=False), MANY))
    assert all(0 <= each.account < ACCOUNTS and each.rest_seconds > 0 for each in drawn)
    assert {each.keyed for each in drawn} == {each.at_most_once for each in drawn} == {True, False}
    assert {each.repeats for each in drawn if each.keyed} == {0, 1, 2}
    assert not any(each.repeats for each in drawn if not each.keyed)
    assert len({each.expires_in_seconds is None for each in drawn}) == 2
    assert len({each.cancel_after_seconds is None for each in drawn}) == 2


@settings(max_examples=15)
@given(SEEDS)
def test_a_campaign_is_resumed_as_often_as_it_is_paused_and_cancelled_last(seed: str) -> None:
    drawn = list(islice(campaigns(seed), MANY))
    for each in drawn:
        said = [command.what for command in each.commands]
        assert said.count(What.PAUSE) == said.count(What.RESUME)
        assert What.CANCEL not in said[:-1]
        assert len(set(each.accounts)) == len(each.accounts)
    assert {What.PAUSE, What.CANCEL} <= {command.what for each in drawn for command in each.commands}


@settings(max_examples=15)
@given(SEEDS)
def test_a_device_that_left_comes_back(seed: str) -> None:
    [device] = devices()[:1]
    homes = [each.account for each in islice(moves(seed, [device]), MANY)]
    assert homes[1::2] == [device.account] * (MANY // 2)
    assert None in homes[::2]

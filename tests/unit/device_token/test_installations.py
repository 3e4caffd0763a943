"""Laws of what an address says about its installation."""

from __future__ import annotations

import string
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.device_token.internals.installations import installation_id, one_an_installation
from modules.device_token.types import Device, DeviceState, Platform, TargetKind

FID = "cW3k1vJxQ0aB-dE_fGhIjK"
ALPHABET = string.ascii_letters + string.digits + "-_"
installations = st.text(ALPHABET, min_size=1, max_size=22)
tails = st.text(ALPHABET + ":", max_size=140)
printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)


def device(number: int, *, kind: TargetKind, address: str, app_id: str = "default") -> Device:
    now = datetime(2025, 1, 1, tzinfo=UTC)
    return Device(
        id=f"{number:024}",
        account_id="acc-1",
        app_id=app_id,
        platform=Platform.ANDROID,
        kind=kind,
        address=address,
        state=DeviceState.ACTIVE,
        state_reason=None,
        state_changed_at=now,
        registered_at=now,
        last_seen_at=now,
        version=1,
    )


@given(installations, tails)
def test_a_token_and_the_id_it_begins_with_are_one_installation(name: str, tail: str) -> None:
    assert installation_id(TargetKind.TOKEN, f"{name}:APA91{tail}") == name
    assert installation_id(TargetKind.FID, name) == name


@pytest.mark.parametrize(
    "token",
    [
        "no-colon-at-all",
        f"{FID}:",
        f"{FID}:XYZ",
        ":APA91b",
        "a b:APA91b",
        "a.b:APA91b",
        f"x:{FID}:APA91b",
        FID,
    ],
)
def test_a_token_of_another_shape_names_no_installation(token: str) -> None:
    assert installation_id(TargetKind.TOKEN, token) is None


@given(printable)
def test_an_installation_is_always_a_part_of_its_address(address: str) -> None:
    for kind in TargetKind:
        found = installation_id(kind, address)
        assert found is None or (address.startswith(found) and set(found) <= set(ALPHABET))


devices = st.lists(
    st.tuples(
        st.sampled_from(TargetKind), st.sampled_from(["a", "b"]), st.booleans(), st.sampled_from(["x", "y"])
    ),
    max_size=12,
).map(
    lambda words: [
        device(
            number,
            kind=kind,
            address=name if kind is TargetKind.FID else f"{name}:{'APA91' if marked else 'other'}{number}",
            app_id=app_id,
        )
        for number, (kind, name, marked, app_id) in enumerate(words)
    ]
)


def installation_of(device: Device) -> tuple[str, str] | None:
    name = installation_id(device.kind, device.address)
    return None if name is None else (device.app_id, name)


@given(devices)
def test_of_an_installation_the_first_is_told_and_nobody_is_lost(found: list[Device]) -> None:
    kept = one_an_installation(found)
    assert kept == [each for each in found if each in kept]
    named = [installation_of(each) for each in kept if installation_of(each) is not None]
    assert len(named) == len(set(named))
    assert set(named) == {installation_of(each) for each in found} - {None}
    assert [each for each in found if installation_of(each) is None] == [
        each for each in kept if installation_of(each) is None
    ]
    for each in kept:
        alike = [other for other in found if installation_of(other) == installation_of(each)]
        assert installation_of(each) is None or alike[0] == each


@given(devices)
def test_choosing_again_changes_nothing(found: list[Device]) -> None:
    assert one_an_installation(one_an_installation(found)) == one_an_installation(found)

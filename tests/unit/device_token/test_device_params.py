"""What may be said about a device, and that a refusal never repeats its address."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.application.errors import InvalidInputError
from modules.device_token.internals.device_params import (
    DeviceRegistration,
    check_bulk_lookup,
    check_dead_target,
    check_listing,
)
from modules.device_token.types import Platform, TargetKind

ADDRESS = "dGhlLWFkZHJlc3M:APA91b-_secret"


def make_registration(**over: Any) -> DeviceRegistration:
    fields: dict[str, Any] = {
        "account_id": "acc-1",
        "app_id": "default",
        "platform": Platform.ANDROID,
        "kind": TargetKind.TOKEN,
        "address": ADDRESS,
    }
    return DeviceRegistration(**{**fields, **over})


def refused_fields(registration: DeviceRegistration) -> list[str | None]:
    with pytest.raises(InvalidInputError) as refused:
        registration.checked()
    return [problem.field for problem in refused.value.problems]


def test_plain_strings_become_enums() -> None:
    checked = make_registration(platform="ios", kind="fid").checked()
    assert (checked.platform, checked.kind) == (Platform.IOS, TargetKind.FID)
    assert isinstance(checked.platform, Platform)


def test_every_failure_is_reported_at_once() -> None:
    everything = make_registration(account_id=1, app_id=None, platform=[], kind={}, address=b"x")
    assert refused_fields(everything) == ["account_id", "app_id", "platform", "kind", "address"]


@pytest.mark.parametrize("address", ["", "x" * 4097, "a b", "tab\t", "line\n", "é", "\ud800", None, 7])
def test_an_address_is_printable_ascii_of_bounded_length(address: object) -> None:
    assert refused_fields(make_registration(address=address)) == ["address"]


@pytest.mark.parametrize("address", ["x", "x" * 4096, ADDRESS])
def test_addresses_that_are_good(address: str) -> None:
    assert make_registration(address=address).checked().address == address


@pytest.mark.parametrize("app_id", ["", "a b", "x" * 65, "é", 5])
def test_app_ids_that_are_not(app_id: object) -> None:
    assert refused_fields(make_registration(app_id=app_id)) == ["app_id"]


@given(st.text(st.characters(categories=["L", "N", "P", "Z", "C"]), min_size=4, max_size=200))
def test_a_refusal_never_repeats_the_address(secret: str) -> None:
    refused = make_registration(address=secret + " ", platform="toaster")
    with pytest.raises(InvalidInputError) as error:
        refused.checked()
    without = make_registration(address=" ", platform="toaster")
    with pytest.raises(InvalidInputError) as expected:
        without.checked()
    assert error.value.problems == expected.value.problems
    assert repr(refused) == repr(without)


@pytest.mark.parametrize("version", [0, -1, True, "1", None, 1.0])
def test_a_dead_target_needs_the_version_that_was_sent_to(version: object) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_dead_target(device_id="d", version=version, code="UNREGISTERED")
    assert refused.value.field == "version"


def test_a_dead_target_report_is_checked_whole() -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_dead_target(device_id=None, version=None, code="")
    assert {problem.field for problem in refused.value.problems} == {"device_id", "version", "code"}


@pytest.mark.parametrize("account_ids", ["acc-1", None, 7])
def test_many_accounts_are_a_list(account_ids: object) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_bulk_lookup(account_ids=account_ids, app_id=None, limit=1)
    assert refused.value.field == "account_ids"


def test_a_wrong_account_is_named_by_its_position() -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_bulk_lookup(account_ids=["a", "", "b", 3], app_id=7, limit=0)
    fields = [problem.field for problem in refused.value.problems]
    assert fields == ["account_ids[1]", "account_ids[3]", "app_id", "limit"]


@pytest.mark.parametrize("limit", [0, 501, True, "5", None, 1.5])
def test_a_limit_is_a_whole_number_in_range(limit: object) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_listing(account_id="a", include_inactive=False, after_device_id=None, limit=limit)
    assert refused.value.field == "limit"


def test_a_listing_flag_is_a_flag() -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_listing(account_id="a", include_inactive="yes", after_device_id=None, limit=1)
    assert refused.value.field == "include_inactive"

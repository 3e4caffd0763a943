"""What the driver raises becomes a ServiceError by its code, without the text that quotes values."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
    WriteError,
    WTimeoutError,
)

from modules.application.errors import ConfigurationError, StoreError, UnavailableError
from modules.application.mongo_errors import CODES, DUPLICATE_KEY, Sort, service_error
from modules.application.repository import database_errors

SECRET = "the-secret-value"
PASSING = [code for code, known in CODES.items() if known.sort is Sort.PASSING]
# A duplicate beside something else is judged by that.
REFUSED = [code for code, known in CODES.items() if known.sort is Sort.REFUSED and code != DUPLICATE_KEY]


def bulk(*codes: int, unconfirmed: int | None = None) -> BulkWriteError:
    details: dict[str, Any] = {"writeErrors": [{"code": code, "errmsg": SECRET} for code in codes]}
    if unconfirmed is not None:
        details["writeConcernErrors"] = [{"code": unconfirmed, "errmsg": SECRET}]
    return BulkWriteError(details)


@pytest.mark.parametrize(
    "refusal",
    [
        DuplicateKeyError(f"E11000 dup key: {{ address: {SECRET} }}", 11000, {"keyValue": SECRET}),
        OperationFailure(f"failed validation: {SECRET}", 121, {"errInfo": {"consideredValue": SECRET}}),
        BulkWriteError({"writeErrors": [{"op": {"title": SECRET}}]}),
    ],
)
async def test_a_refusal_is_told_by_its_code_alone(refusal: OperationFailure) -> None:
    with pytest.raises(StoreError) as told:
        async with database_errors():
            raise refusal
    assert told.value.code == "store_refused"
    assert str(refusal.code) in told.value.reason
    assert SECRET not in "".join(traceback.format_exception(told.value))


async def test_a_refusal_that_is_expected_can_be_caught_inside() -> None:
    async with database_errors():
        with pytest.raises(DuplicateKeyError):
            raise DuplicateKeyError("dup key", 11000)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (ExecutionTimeout("too long", 50), UnavailableError),
        (OperationFailure("new code", 9_999, {"errorLabels": ["RetryableWriteError"]}), UnavailableError),
        (OperationFailure("no such user", 18), ConfigurationError),
        (OperationFailure("not allowed", 13), ConfigurationError),
        (OperationFailure("no such name", 73), ConfigurationError),
    ],
)
async def test_what_an_operator_or_time_can_mend_is_told_as_that(
    failure: OperationFailure, expected: type[Exception]
) -> None:
    with pytest.raises(expected):
        async with database_errors():
            raise failure


@pytest.mark.parametrize("code", PASSING)
@pytest.mark.parametrize("make", [OperationFailure, WriteError])
def test_what_passes_is_to_be_tried_again_however_it_comes_and_without_a_label(
    code: int, make: type[OperationFailure]
) -> None:
    """A step-down reaches an update of many as a WriteError 189 that has no label."""
    assert isinstance(service_error(make("failed", code)), UnavailableError)
    assert isinstance(service_error(bulk(code)), UnavailableError)
    assert isinstance(service_error(bulk(121, unconfirmed=code)), StoreError)


@pytest.mark.parametrize("code", PASSING)
def test_an_insert_that_meets_what_landed_before_is_judged_by_what_else_is_wrong(code: int) -> None:
    assert isinstance(service_error(bulk(11000, code, 11000)), UnavailableError)
    assert isinstance(service_error(bulk(11000, unconfirmed=code)), UnavailableError)
    told = service_error(bulk(11000, code, 121))
    assert isinstance(told, StoreError) and told.server_code == 121
    told = service_error(bulk(11000, 11000))
    assert isinstance(told, StoreError) and told.server_code == 11000


@pytest.mark.parametrize("code", REFUSED)
@pytest.mark.parametrize("make", [OperationFailure, WriteError])
def test_what_is_refused_for_good_is_that_however_it_comes(code: int, make: type[OperationFailure]) -> None:
    for error in (make("failed", code), bulk(189, code)):
        told = service_error(error)
        assert isinstance(told, StoreError)
        assert told.server_code == code


def test_a_code_that_nobody_knows_is_a_refusal() -> None:
    assert isinstance(service_error(OperationFailure("failed", 7_777_777)), StoreError)
    assert isinstance(service_error(OperationFailure("failed")), StoreError)


def test_a_document_that_the_driver_finds_too_large_is_refused_for_good() -> None:
    told = service_error(DocumentTooLarge("too large"))
    assert isinstance(told, StoreError)
    assert told.server_code == 10334


@pytest.mark.parametrize(
    ("error", "may_have_happened"),
    [
        (ServerSelectionTimeoutError("no primary"), False),
        # Also when it was the repetition of a write whose answer was lost.
        (WaitQueueTimeoutError("no connection"), True),
        (NotPrimaryError("stepped down", {"code": 189}), False),
        (OperationFailure("interrupted", 11602), False),
        (AutoReconnect("connection closed"), True),
        (NetworkTimeout("timed out"), True),
        # Of many documents some may have been changed before.
        (WriteError("stepped down", 189), True),
        (bulk(189), True),
        (WTimeoutError("waiting for replication", 64), True),
        (WriteConcernError("stepped down", 189), True),
        (WriteConcernError("no majority", 100), True),
        (bulk(unconfirmed=64), True),
    ],
)
def test_a_write_that_may_have_been_applied_is_told_apart(error: Exception, may_have_happened: bool) -> None:
    told = service_error(error)
    assert isinstance(told, UnavailableError)
    assert told.may_have_happened is may_have_happened


def test_every_row_of_the_table_says_why() -> None:
    assert all(code.name and code.why for code in CODES.values())

"""What the driver raises becomes a ServiceError without the text, in which MongoDB quotes documents."""

from __future__ import annotations

import traceback

import pytest
from pymongo.errors import BulkWriteError, DuplicateKeyError, ExecutionTimeout, OperationFailure

from modules.application.errors import ConfigurationError, StoreError, UnavailableError
from modules.application.repository import database_errors

SECRET = "the-secret-value"


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
        (OperationFailure("not primary", 10107, {"errorLabels": ["RetryableWriteError"]}), UnavailableError),
        (OperationFailure("no such user", 18), ConfigurationError),
    ],
)
async def test_what_an_operator_or_time_can_mend_is_told_as_that(
    failure: OperationFailure, expected: type[Exception]
) -> None:
    with pytest.raises(expected):
        async with database_errors():
            raise failure

"""What may be asked of one-time passwords."""

from __future__ import annotations

import pytest

from modules.application.errors import InvalidInputError
from modules.authentication.internals.one_time_password_params import check_answer, check_request


@pytest.mark.parametrize("code", ["", "12 34", "12345678901", "١٢٣٤٥٦", "12e4", "123456\n", 123456, None])
def test_a_malformed_code_is_refused_without_being_repeated(code: object) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_answer(account_id="acc-1", purpose="login", code=code)
    assert [problem.field for problem in refused.value.problems] == ["code"]
    assert str(refused.value) == "malformed_code: code: must be a string of digits"


@pytest.mark.parametrize("purpose", ["", "a:b", "Login", "x" * 33, None, 4])
def test_a_purpose_is_a_short_name(purpose: object) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_request(account_id="acc-1", purpose=purpose)
    assert refused.value.field == "purpose"


def test_every_failure_is_reported_at_once() -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_answer(account_id="", purpose="", code="")
    assert [problem.field for problem in refused.value.problems] == ["account_id", "purpose", "code"]

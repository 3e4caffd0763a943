"""What commands print, for programs and for people."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.application.errors import InvalidInputError, Problem, ServiceError
from modules.cli import output
from modules.notification.errors import ImmediateSendDeferredError
from modules.notification.types import Status, TimelineEntry


@pytest.fixture(autouse=True)
def _fresh() -> None:
    output.begin()


def test_a_document_holds_times_enums_and_dataclasses(capsys: pytest.CaptureFixture[str]) -> None:
    output.choose_json(True)
    at = datetime(2026, 1, 2, tzinfo=UTC)
    output.show_fields(
        {"status": Status.SENT, "entry": TimelineEntry(at=at, event="é", detail="d"), "none": None}
    )
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {
        "status": "sent",
        "entry": {"at": "2026-01-02T00:00:00+00:00", "event": "é", "detail": "d"},
        "none": None,
    }
    assert printed.err == ""


def test_people_get_text_that_is_neither_markup_nor_terminal_control(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.show_fields({"title": "[bold]\x1b[2Jloud\nline", "absent": None})
    printed = capsys.readouterr().out
    assert "[bold] [2Jloud line" in printed
    assert "\x1b" not in printed
    assert printed.splitlines()[1].split() == ["absent", "-"]


def test_every_problem_has_a_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_error(
        InvalidInputError([Problem("required", "title", "missing"), Problem("bad", None, "odd\n")])
    )
    printed = capsys.readouterr()
    assert printed.err == "error: title: missing (required)\nerror: odd  (bad)\n"
    assert printed.out == ""


def test_an_error_is_one_document_with_every_problem(capsys: pytest.CaptureFixture[str]) -> None:
    output.choose_json(True)
    output.show_error(
        InvalidInputError([Problem("required", "title", "missing"), Problem("bad", "body", "odd")])
    )
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {
        "error": {
            "code": "required",
            "field": "title",
            "reason": "title: missing; body: odd",
            "problems": [
                {"code": "required", "field": "title", "reason": "missing"},
                {"code": "bad", "field": "body", "reason": "odd"},
            ],
        }
    }
    assert printed.err == ""


def test_a_deferred_send_says_under_which_id(capsys: pytest.CaptureFixture[str]) -> None:
    output.choose_json(True)
    output.show_error(ImmediateSendDeferredError("n1"))
    assert json.loads(capsys.readouterr().out)["error"]["notification_id"] == "n1"


def test_an_error_without_problems_is_its_own_problem(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_error(ServiceError(code="c", reason="r", field="f"))
    assert capsys.readouterr().err == "error: f: r (c)\n"


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=200))
def test_a_shortened_address_never_holds_the_address(address: str) -> None:
    shortened = output.shortened_address(address)
    assert len(shortened) <= 20
    assert shortened == output.shortened_address(address)
    if len(address) > 6:
        assert address not in shortened

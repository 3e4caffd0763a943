"""Which instruction a send follows."""

from __future__ import annotations

import pytest

from simulator.instructions import Instruction, InvalidInstructionError
from simulator.rule_book import RuleBook, RuleMatch

UNAVAILABLE = Instruction(error_code="UNAVAILABLE")
INTERNAL = Instruction(error_code="INTERNAL")


def names(book: RuleBook, *targets: str, project: str = "p") -> list[str]:
    found = [book.instruction_for(project, target) for target in targets]
    return [instruction.name if instruction else "-" for instruction in found]


@pytest.mark.parametrize(
    ("match", "matched"),
    [
        (RuleMatch(), {("p", "abc"), ("p", "abd"), ("q", "abc")}),
        (RuleMatch(token="abc"), {("p", "abc"), ("q", "abc")}),
        (RuleMatch(prefix="ab"), {("p", "abc"), ("p", "abd"), ("q", "abc")}),
        (RuleMatch(prefix="abd"), {("p", "abd")}),
        (RuleMatch(project="p"), {("p", "abc"), ("p", "abd")}),
        (RuleMatch(project="q", prefix="ab"), {("q", "abc")}),
    ],
)
def test_a_rule_is_for_what_it_names(match: RuleMatch, matched: set[tuple[str, str]]) -> None:
    sends = [("p", "abc"), ("p", "abd"), ("q", "abc")]
    assert {send for send in sends if match.matches(*send)} == matched


def test_the_first_rule_with_uses_left_wins_and_then_the_target_speaks() -> None:
    book = RuleBook()
    book.add(RuleMatch(prefix="sim"), Instruction(error_code="UNAVAILABLE", times=1))
    book.add(RuleMatch(), Instruction(error_code="INTERNAL", times=2))
    assert names(book, "sim-UNREGISTERED-1", "x", "sim-UNREGISTERED-1", "sim-UNREGISTERED-1", "x") == [
        "UNAVAILABLE",
        "INTERNAL",
        "INTERNAL",
        "UNREGISTERED",
        "-",
    ]
    assert [(rule["matched"], rule["remaining"]) for rule in book.describe()] == [(1, 0), (2, 0)]


def test_a_rule_without_times_holds_until_it_is_removed() -> None:
    book = RuleBook()
    rule_id = book.add(RuleMatch(), UNAVAILABLE)
    assert names(book, *"abc") == ["UNAVAILABLE"] * 3
    assert book.remove(rule_id)
    assert not book.remove(rule_id)
    assert names(book, "a") == ["-"]


def test_a_target_fails_as_often_as_it_says_in_each_project() -> None:
    book = RuleBook()
    assert names(book, *["sim-INTERNAL*2-a"] * 3) == ["INTERNAL", "INTERNAL", "-"]
    assert names(book, "sim-INTERNAL*2-b", "sim-INTERNAL-a") == ["INTERNAL", "INTERNAL"]
    assert names(book, "sim-INTERNAL*2-a", project="q") == ["INTERNAL"]


def test_a_target_of_another_project_is_a_mismatch() -> None:
    book = RuleBook()
    book.register("q", ["a", "sim-INTERNAL-b"])
    assert names(book, "a", "sim-INTERNAL-b", "c") == ["SENDER_ID_MISMATCH", "SENDER_ID_MISMATCH", "-"]
    assert names(book, "a", "sim-INTERNAL-b", project="q") == ["-", "INTERNAL"]
    assert names(book, "sim-project:q:x", "sim-project:p:x") == ["SENDER_ID_MISMATCH", "-"]


def test_reset_forgets_everything() -> None:
    book = RuleBook()
    book.add(RuleMatch(), INTERNAL)
    book.register("q", ["a"])
    book.clear_rules()
    assert names(book, "sim-INTERNAL*1-a", "a") == ["INTERNAL", "SENDER_ID_MISMATCH"]
    book.reset()
    assert names(book, "sim-INTERNAL*1-a", "a") == ["INTERNAL", "-"]


def test_a_misspelt_target_is_an_error() -> None:
    with pytest.raises(InvalidInstructionError):
        RuleBook().instruction_for("p", "sim-OOPS-1")

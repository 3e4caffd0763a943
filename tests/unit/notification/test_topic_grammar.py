"""Names of topics, and conditions over them, as FCM has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.notification.internals.channels.fcm.topic_grammar import condition_problem, is_topic


@pytest.mark.parametrize(
    "expression",
    [
        "'a' in topics",
        "  'a'  in  topics  ",
        "'a' in topics&&'b' in topics",
        "!('a' in topics)",
        "! 'a' in topics || 'b' in topics",
        "(('a' in topics && 'b' in topics) || ('c' in topics && 'd' in topics)) && 'e' in topics",
    ],
)
def test_conditions_as_fcm_has_them_are_taken(expression: str) -> None:
    assert condition_problem(expression) is None


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "   ",
        None,
        "a in topics",
        '"a" in topics',
        "'a' in topic",
        "'a b' in topics",
        "'a' in topics &&",
        "&& 'a' in topics",
        "'a' in topics 'b' in topics",
        "'a' in topics & 'b' in topics",
        "('a' in topics",
        "'a' in topics)",
        ")'a' in topics(",
        "()",
        "'a' in topics !",
        "'a' in topics ('b' in topics)",
        " || ".join(f"'{name}' in topics" for name in "abcdef"),
        "(" * 3_000,
        "'a' in topics" + " " * 5_000,
    ],
)
def test_other_conditions_are_refused(expression: object) -> None:
    assert condition_problem(expression)


conditions = st.recursive(
    st.from_regex(r"[a-zA-Z0-9\-_.~%]{1,8}", fullmatch=True).map(lambda name: f"'{name}' in topics"),
    lambda inner: st.one_of(
        inner.map(lambda text: f"!({text})"),
        inner.map(lambda text: f"({text})"),
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(" ".join),
    ),
    max_leaves=5,
)


@given(conditions)
def test_whatever_the_grammar_makes_is_taken_and_half_of_it_is_not(expression: str) -> None:
    assert condition_problem(expression) is None
    assert condition_problem(expression + ")")
    assert condition_problem(f"{expression} &&")


@given(st.text(max_size=20))
def test_a_topic_has_no_character_that_a_condition_could_not_quote(name: str) -> None:
    assert is_topic(name) is (condition_problem(f"'{name}' in topics") is None and "'" not in name)

"""Codes and what is kept of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.authentication.internals.code_hash import code_matches, hash_code, new_code, new_salt


@given(st.integers(min_value=4, max_value=10))
def test_a_code_has_so_many_digits(digits: int) -> None:
    code = new_code(digits)
    assert len(code) == digits
    assert code.isascii()
    assert code.isdigit()


def test_small_numbers_keep_their_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.randbelow", lambda limit: 7 if limit == 10**6 else limit)
    assert new_code(6) == "000007"


def test_codes_differ() -> None:
    assert len({new_code(10) for _ in range(100)}) == 100


async def test_the_same_code_hashes_differently_under_another_salt() -> None:
    first, second = new_salt(), new_salt()
    assert first != second
    assert await hash_code("123456", first) != await hash_code("123456", second)


@settings(max_examples=10)
@given(stored=st.from_regex(r"[0-9]{6}", fullmatch=True), tried=st.from_regex(r"[0-9]{6}", fullmatch=True))
async def test_exactly_the_right_code_matches(stored: str, tried: str) -> None:
    salt = new_salt()
    kept = await hash_code(stored, salt)
    assert stored.encode() not in kept
    assert await code_matches(stored, salt=salt, code_hash=kept)
    assert await code_matches(tried, salt=salt, code_hash=kept) is (tried == stored)

"""Access tokens that outlive the process, and nothing else that is taken for one."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from simulator.access_tokens import AccessTokens


def test_a_token_is_good_for_its_project_until_it_runs_out(tmp_path: Path) -> None:
    tokens = AccessTokens(tmp_path)
    token = tokens.issue("p", expires_at=100)
    assert [tokens.project_of(token, now=now) for now in (0, 99.9, 100)] == ["p", "p", None]


def test_tokens_differ(tmp_path: Path) -> None:
    tokens = AccessTokens(tmp_path)
    assert tokens.issue("p", expires_at=1) != tokens.issue("p", expires_at=1)


def test_a_token_is_known_to_the_next_process_until_all_are_revoked(tmp_path: Path) -> None:
    token = AccessTokens(tmp_path).issue("p", expires_at=100)
    second = AccessTokens(tmp_path)
    assert second.project_of(token, now=1) == "p"
    second.revoke_all()
    assert second.project_of(token, now=1) is None
    assert AccessTokens(tmp_path).project_of(token, now=1) is None


def test_the_key_is_private(tmp_path: Path) -> None:
    AccessTokens(tmp_path)
    assert (tmp_path / "access-token.key").stat().st_mode & 0o777 == 0o600


def test_a_token_of_another_simulator_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    token = AccessTokens(tmp_path / "a").issue("p", expires_at=100)
    assert AccessTokens(tmp_path / "b").project_of(token, now=1) is None


@given(st.text() | st.text().map("ya29.sim-".__add__), st.integers(0, 200), st.characters())
def test_nothing_but_what_was_issued_is_taken(invented: str, place: int, letter: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tokens = AccessTokens(Path(folder))
        assert tokens.project_of(invented, now=0) is None
        token = tokens.issue("p", expires_at=100)
        place %= len(token)
        changed = token[:place] + letter + token[place + 1 :]
        assert changed == token or tokens.project_of(changed, now=0) is None

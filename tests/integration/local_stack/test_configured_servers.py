"""Servers that the environment names are used as they are, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_stack.errors import ServerUnreachableError
from local_stack.local_stack_service import LocalStackService
from local_stack.types import LocalStackParams
from tests.integration.local_stack.stacks import client_of, only_mongodb, port_of


def test_configured_servers_are_used_and_left_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = LocalStackParams(folder=tmp_path / "own", simulator=None, use_configured=False)
    with LocalStackService.start(own) as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        with LocalStackService.start(LocalStackParams(folder=tmp_path / "found", simulator=None)) as found:
            assert not found.servers
            assert found.environment() == running.environment()
        with client_of(running) as client:
            assert client.admin.command("ping")["ok"] == 1


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("mongodb://somebody:secret-word@127.0.0.1:9/", "does not answer"),
        ("mongodb://somebody:secret-word@:x/", "cannot be used"),
    ],
)
def test_a_configured_mongodb_that_cannot_be_used_is_one_line_without_its_uri(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, reason: str
) -> None:
    monkeypatch.setenv("MONGODB_URI", uri)
    with pytest.raises(ServerUnreachableError, match=reason) as failed:
        LocalStackService.start(only_mongodb(tmp_path, use_configured=True))
    assert failed.value.field == "MONGODB_URI"
    assert "secret-word" not in str(failed.value)
    assert "\n" not in failed.value.reason


def test_a_member_that_does_not_hear_its_replica_set_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalStackService.start(only_mongodb(tmp_path)) as stack:
        port = port_of(stack.mongodb_uri.partition("?")[0])
        monkeypatch.setenv("MONGODB_URI", f"mongodb://127.0.0.1:{port}/?replicaSet=another")
        with pytest.raises(ServerUnreachableError, match="does not answer"):
            LocalStackService.start(only_mongodb(tmp_path / "other", use_configured=True))


@pytest.mark.parametrize("address", ["127.0.0.1:9", "127.0.0.1:99999", "127.0.0.1", "nowhere.invalid:7233"])
def test_a_configured_temporal_that_does_not_answer_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", address)
    with pytest.raises(ServerUnreachableError, match=f"no Temporal answers at {address},") as failed:
        LocalStackService.start(LocalStackParams(folder=tmp_path, mongodb=False, simulator=None))
    assert failed.value.field == "TEMPORAL_ADDRESS"
    assert "\n" not in failed.value.reason

"""Where access tokens come from, and what an operator reads when there is none."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modules.notification.errors import (
    ProviderConfigurationError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from tests.integration.fcm.conftest import MakeSource, fail
from tests.support.fcm_files import LOOPBACK, PROJECT_ID, write_service_account
from tests.support.fcm_token_server import TokenServer, granting, refusing


async def test_a_token_is_granted_for_a_signed_assertion(
    make_source: MakeSource, token_server: TokenServer
) -> None:
    access = await make_source().access()
    assert (access.token, access.project_id) == ("token-1", PROJECT_ID)
    assert "token-1" not in repr(access)
    [posted] = token_server.posted
    assert posted.form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert posted.form["assertion"].count(".") == 2


async def test_settings_may_name_another_project(make_source: MakeSource) -> None:
    assert (await make_source(project_id="other").access()).project_id == "other"


async def test_a_refused_grant_names_the_error_and_no_more(
    make_source: MakeSource, token_server: TokenServer
) -> None:
    token_server.answer = lambda _: refusing("invalid_grant")
    error = await fail(make_source())
    assert isinstance(error, ProviderRefusedError)
    assert (error.code, error.field) == ("fcm_token_refused", "fcm.credentials_path")
    assert "invalid_grant" in error.reason
    assert "clock" in error.reason


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>not a token</html>"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"access_token": 5}'),
        (200, b'{"access_token": ""}'),
        (200, b'{"access_token": "a\\nb"}'),
        (200, b'{"access_token": "t", "expires_in": "soon"}'),
        (200, b'{"access_token": "t", "expires_in": 1e300}'),
        (200, b"\xff\xfe"),
        (302, b""),
        (404, b"<html>"),
        (400, b'{"error": {"nested": "' + b"x" * 500 + b'"}}'),
        (401, b"null"),
    ],
)
async def test_what_is_no_token_is_refused(
    answer: tuple[int, bytes], make_source: MakeSource, token_server: TokenServer
) -> None:
    token_server.answer = lambda _: answer
    error = await fail(make_source())
    assert isinstance(error, ProviderRefusedError)
    assert error.reason == "the token server refuses the service account (its answer is no token)"


@pytest.mark.usefixtures("impatient_google_auth")
async def test_a_token_server_that_cannot_answer_now_is_unavailable(
    make_source: MakeSource, token_server: TokenServer
) -> None:
    token_server.answer = lambda _: (503, b"busy")
    error = await fail(make_source())
    assert isinstance(error, ProviderUnavailableError)
    assert error.code == "fcm_token_server_unavailable"


async def test_a_token_server_out_of_reach_is_unavailable(make_source: MakeSource, tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
    path = write_service_account(tmp_path / "lost.json", f"https://{LOOPBACK}:{port}/token")
    error = await fail(make_source(path))
    assert isinstance(error, ProviderUnavailableError)
    assert error.reason == "the token server cannot be reached (no connection)"


async def test_a_silent_token_server_meets_the_deadline(make_source: MakeSource, tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        uri = f"https://{LOOPBACK}:{listener.getsockname()[1]}/token"
        path = write_service_account(tmp_path / "silent.json", uri)
        error = await fail(make_source(path, timeout_seconds=0.3))
    assert isinstance(error, ProviderUnavailableError)
    assert error.reason == "the token server cannot be reached (no answer in time)"


async def test_a_token_server_nobody_vouches_for_gets_no_assertion(
    make_source: MakeSource, token_server: TokenServer
) -> None:
    error = await fail(make_source(ca_file=None))
    assert isinstance(error, ProviderUnavailableError)
    assert "not trusted" in error.reason
    assert token_server.posted == []


async def test_a_redirect_is_not_followed(make_source: MakeSource, token_server: TokenServer) -> None:
    token_server.answer = lambda posted: (307, b"") if posted.path == "/token" else granting("token-1")
    assert isinstance(await fail(make_source()), ProviderRefusedError)
    assert [posted.path for posted in token_server.posted] == ["/token"]


async def test_proxies_of_the_environment_are_not_asked(
    make_source: MakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    assert (await make_source().access()).token == "token-1"


def make_missing(path: Path) -> None:
    path.unlink()


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, mode=0o600)


def make_exposed(mode: int) -> Callable[[Path], None]:
    return lambda path: path.chmod(mode)


def make_content(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


def make_changed(**over: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        account = {**json.loads(path.read_text()), **over}
        path.write_text(json.dumps({name: value for name, value in account.items() if value is not None}))

    return change


@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        (make_missing, "fcm_credentials_missing", "No such file"),
        (make_folder, "fcm_credentials_missing", "cannot be read"),
        (make_pipe, "fcm_credentials_missing", "is not a file"),
        (make_exposed(0o640), "fcm_credentials_exposed", "chmod 600"),
        (make_exposed(0o604), "fcm_credentials_exposed", "chmod 600"),
        (make_exposed(0o620), "fcm_credentials_exposed", "chmod 600"),
        (make_content(b""), "fcm_credentials_invalid", "is not a JSON object"),
        (make_content(b"\xff\xfe{"), "fcm_credentials_invalid", "is not a JSON object"),
        (make_content(b"[" * 100_000), "fcm_credentials_invalid", "is not a JSON object"),
        (make_content(b"[]"), "fcm_credentials_invalid", "is not a JSON object"),
        (make_content(b'{"type": "authorized_user"}'), "fcm_credentials_invalid", "is not a service account"),
        (make_changed(private_key=None), "fcm_credentials_invalid", "lacks private_key"),
        (
            make_changed(private_key=5, client_email=""),
            "fcm_credentials_invalid",
            "lacks client_email, private_key",
        ),
        (make_changed(private_key="-----BEGIN PRIVATE KEY-----\nAAAA"), "fcm_credentials_invalid", "PEM key"),
        (make_changed(token_uri="http://127.0.0.1/token"), "fcm_credentials_invalid", "not an https address"),
        (make_changed(token_uri="https://["), "fcm_credentials_invalid", "not an https address"),
        (make_changed(project_id=None), "fcm_project_missing", "project_id"),
        (make_changed(project_id="a/b"), "fcm_project_missing", "project_id"),
    ],
)
async def test_a_file_that_cannot_be_used_is_named_with_the_reason(
    spoil: Callable[[Path], None], code: str, words: str, make_source: MakeSource, credentials_path: Path
) -> None:
    spoil(credentials_path)
    error = await fail(make_source())
    assert isinstance(error, ProviderConfigurationError)
    assert (error.code, error.field) == (code, "fcm.credentials_path")
    assert str(credentials_path) in error.reason
    assert words in error.reason

"""Where access tokens come from, and what an operator reads when there is none."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
import traceback
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from modules.application.errors import ServiceError
from modules.notification.errors import (
    ProviderConfigurationError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from modules.notification.internals.channels.fcm.access_token_source import AccessTokenSource
from modules.notification.internals.channels.fcm.token_endpoint import TokenEndpoint
from tests.support.fcm_files import LOOPBACK, PROJECT_ID, TlsFiles, signing_key, write_service_account
from tests.support.fcm_token_server import Posted, TokenServer, granting, refusing

MakeSource = Callable[..., AccessTokenSource]


class Clock:
    """A clock that a test turns on."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def impatient_google_auth(monkeypatch: pytest.MonkeyPatch) -> None:
    """google-auth asks a server that is busy three times; its waits in between are of no interest here."""
    monkeypatch.setattr("google.auth._exponential_backoff.time", SimpleNamespace(sleep=lambda _: None))


@pytest_asyncio.fixture
async def make_source(credentials_path: Path, tls: TlsFiles, clock: Clock) -> AsyncIterator[MakeSource]:
    sources: list[AccessTokenSource] = []

    def make(
        path: Path = credentials_path,
        *,
        ca_file: Path | None = tls.ca_file,
        timeout_seconds: float = 10,
        project_id: str | None = None,
    ) -> AccessTokenSource:
        source = AccessTokenSource(
            credentials_path=path,
            project_id=project_id,
            settings_field="fcm.credentials_path",
            endpoint=TokenEndpoint(ca_file=ca_file, timeout_seconds=timeout_seconds),
            timeout_seconds=timeout_seconds,
            clock=clock,
        )
        sources.append(source)
        return source

    yield make
    for source in sources:
        await source.close()


def numbered(server: TokenServer, **over: Any) -> None:
    """Have the server grant token-1, token-2, …"""
    server.answer = lambda _: granting(f"token-{len(server.posted)}", **over)


async def fail(source: AccessTokenSource) -> ServiceError:
    with pytest.raises(ServiceError) as failed:
        await source.access()
    assert "\n" not in failed.value.reason
    trace = "".join(traceback.format_exception(failed.value))
    for secret in (signing_key(), signing_key()[40:90], "said the server"):
        assert secret not in trace
    return failed.value


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


async def test_all_who_wait_share_one_grant(make_source: MakeSource, token_server: TokenServer) -> None:
    source = make_source()
    tokens = await asyncio.gather(*(source.access() for _ in range(50)))
    assert {access.token for access in tokens} == {"token-1"}
    assert (await source.access()).token == "token-1"
    assert len(token_server.posted) == 1


async def test_one_who_gives_up_does_not_take_the_token_from_the_others(
    make_source: MakeSource, token_server: TokenServer
) -> None:
    asked, may_answer = threading.Event(), threading.Event()

    def answer(_: Posted) -> tuple[int, bytes]:
        asked.set()
        assert may_answer.wait(10)
        return granting("token-1")

    token_server.answer = answer
    source = make_source()
    impatient = asyncio.create_task(source.access())
    patient = asyncio.create_task(source.access())
    assert await asyncio.to_thread(asked.wait, 10)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    may_answer.set()
    assert (await patient).token == "token-1"
    assert len(token_server.posted) == 1


async def test_a_token_is_renewed_in_the_background_before_it_runs_out(
    make_source: MakeSource, token_server: TokenServer, clock: Clock
) -> None:
    numbered(token_server)
    source = make_source()
    assert (await source.access()).token == "token-1"
    clock.seconds += 3599 - 301
    assert (await source.access()).token == "token-1"
    assert len(token_server.posted) == 1
    clock.seconds += 2
    assert (await source.access()).token == "token-1", "the old one serves meanwhile"
    while (access := await source.access()).token == "token-1":
        await asyncio.sleep(0)
    assert access.token == "token-2"
    assert len(token_server.posted) == 2


async def test_a_token_that_ran_out_is_waited_for(
    make_source: MakeSource, token_server: TokenServer, clock: Clock
) -> None:
    numbered(token_server)
    source = make_source()
    await source.access()
    clock.seconds += 3599 - 14
    assert (await source.access()).token == "token-2"


async def test_a_short_lived_token_is_not_renewed_all_the_time(
    make_source: MakeSource, token_server: TokenServer, clock: Clock
) -> None:
    numbered(token_server, expires_in=120)
    source = make_source()
    await source.access()
    clock.seconds += 59
    before = asyncio.all_tasks()
    assert (await source.access()).token == "token-1"
    assert asyncio.all_tasks() == before, "no renewal was started"


@pytest.mark.usefixtures("impatient_google_auth")
async def test_a_renewal_that_fails_leaves_the_old_token_in_use(
    make_source: MakeSource, token_server: TokenServer, clock: Clock
) -> None:
    source = make_source()
    await source.access()
    token_server.answer = lambda _: (503, b"")
    clock.seconds += 3400
    while len(token_server.posted) < 4:
        assert (await source.access()).token == "token-1"
        await asyncio.sleep(0)
    clock.seconds += 1
    assert (await source.access()).token == "token-1"


@pytest.mark.parametrize("over", [{"expires_in": "3599"}, {"expires_in": None}, {"expires_in": -5}])
async def test_odd_lifetimes_are_lived_with(
    over: dict[str, Any], make_source: MakeSource, token_server: TokenServer
) -> None:
    token_server.answer = lambda _: granting("token-1", **over)
    source = make_source()
    for _ in range(3):
        assert (await source.access()).token == "token-1"
    assert len(token_server.posted) == 1


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


async def test_a_failure_is_not_repeated_at_once(
    make_source: MakeSource, token_server: TokenServer, clock: Clock
) -> None:
    token_server.answer = lambda _: refusing("invalid_grant")
    source = make_source()
    for _ in range(5):
        await fail(source)
    assert len(token_server.posted) == 1
    clock.seconds += 1
    await fail(source)
    assert len(token_server.posted) == 2


async def test_a_mended_file_is_picked_up(
    make_source: MakeSource, token_server: TokenServer, clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "mended.json"
    source = make_source(path)
    assert (await fail(source)).code == "fcm_credentials_missing"
    write_service_account(path, token_server.token_uri)
    clock.seconds += 1
    assert (await source.access()).token == "token-1"


async def test_a_rotated_key_is_picked_up_after_a_refusal(
    make_source: MakeSource, token_server: TokenServer, clock: Clock, credentials_path: Path
) -> None:
    source = make_source()
    await source.access()
    token_server.answer = lambda _: refusing("invalid_grant")
    clock.seconds += 3600
    await fail(source)
    write_service_account(credentials_path, token_server.token_uri, project_id="rotated")
    token_server.answer = lambda _: granting("token-2")
    clock.seconds += 1
    access = await source.access()
    assert (access.token, access.project_id) == ("token-2", "rotated")


async def test_a_refused_token_is_replaced_once_a_minute(
    make_source: MakeSource, token_server: TokenServer, clock: Clock
) -> None:
    numbered(token_server)
    source = make_source()
    first = await source.access()
    replacements = await asyncio.gather(*(source.replacement(first) for _ in range(20)))
    assert {access.token for access in replacements if access} == {"token-2"}
    second = await source.access()
    assert await source.replacement(second) is None
    assert (await source.replacement(first)) is second
    clock.seconds += 60
    third = await source.replacement(second)
    assert third is not None
    assert third.token == "token-3"
    assert len(token_server.posted) == 3


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

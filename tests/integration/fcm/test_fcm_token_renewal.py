"""One token serves all, is renewed before it runs out, and is replaced when it was refused."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.integration.fcm.conftest import Clock, MakeSource, fail
from tests.support.fcm_files import write_service_account
from tests.support.fcm_token_server import Posted, TokenServer, granting, refusing


def numbered(server: TokenServer, **over: Any) -> None:
    """Have the server grant token-1, token-2, …"""
    server.answer = lambda _: granting(f"token-{len(server.posted)}", **over)


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


async def test_a_token_is_not_used_after_its_end_however_short_its_life(
    make_source: MakeSource, token_server: TokenServer, clock: Clock
) -> None:
    numbered(token_server, expires_in=1)
    source = make_source()
    granted_at: dict[str, float] = {}
    for _ in range(40):
        access = await source.access()
        assert clock.seconds - granted_at.setdefault(access.token, clock.seconds) < 1
        clock.seconds += 0.1
    assert len(token_server.posted) <= 9, "each serves for half of its life"


async def test_a_token_that_ran_out_on_its_way_is_replaced_whenever_that_happens(
    make_source: MakeSource, token_server: TokenServer, clock: Clock
) -> None:
    numbered(token_server, expires_in=1)
    source = make_source()
    for number in range(2, 5):
        refused = await source.access()
        clock.seconds += 1
        replacement = await source.replacement(refused)
        assert replacement is not None
        assert replacement.token == f"token-{number}"

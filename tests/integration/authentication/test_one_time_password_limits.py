"""How often a code can be asked for: counted by the database, so all processes share it."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.collection import Collection

from modules.application.event_loop_thread import EventLoopThread
from modules.application.mongo_database import MongoDatabase
from modules.authentication.authentication_service import AuthenticationService
from modules.authentication.errors import OneTimePasswordReissueLimitError
from modules.authentication.internals.store.one_time_password_repository import (
    Issued,
    IssueLimits,
    NewOneTimePassword,
    OneTimePasswordRepository,
)
from tests.integration.authentication.conftest import Outbox, Start

Authentication = type[AuthenticationService]
Stored = Collection[dict[str, Any]]
HOUR_SECONDS = 3_600


@pytest.fixture
def authentication(start: Start) -> Authentication:
    """With the limits of the settings' defaults."""
    return start(reissue_seconds=30, codes_per_hour=5)


def ago(stored: Stored, *seconds: float) -> None:
    """As if the account's codes had been issued so long ago, the first one first."""
    moments = [{"$subtract": ["$$NOW", round(each * 1000)]} for each in seconds]
    stored.update_many({}, [{"$set": {"issued_at": moments, "created_at": moments[-1]}}])


def refused(authentication: Authentication, **over: Any) -> float:
    with pytest.raises(OneTimePasswordReissueLimitError) as error:
        authentication.send_one_time_password(**{"account_id": "acc-1", **over})
    assert error.value.code == "one_time_password_reissue_limited"
    return error.value.retry_after_seconds


def test_the_next_code_has_to_wait_and_the_former_stands(
    authentication: Authentication, outbox: Outbox
) -> None:
    ticket = authentication.send_one_time_password(account_id="acc-1")
    assert 25 < refused(authentication) <= 30
    assert len(outbox.sent) == 1
    authentication.verify_one_time_password(account_id="acc-1", ticket_id=ticket.id, code=outbox.sent[0].code)
    assert 25 < refused(authentication) <= 30, "a used code counts as well"


def test_after_the_wait_there_is_a_new_one(authentication: Authentication, stored: Stored) -> None:
    authentication.send_one_time_password(account_id="acc-1")
    ago(stored, 29)
    assert 0 < refused(authentication) <= 1
    ago(stored, 30)
    authentication.send_one_time_password(account_id="acc-1")


def test_an_hour_has_so_many_and_no_more(authentication: Authentication, stored: Stored) -> None:
    authentication.send_one_time_password(account_id="acc-1")
    ago(stored, 3_000, 2_000, 1_000, 500, 100)
    assert 590 < refused(authentication) <= 600
    ago(stored, 3_601, 2_000, 1_000, 500, 100)
    authentication.send_one_time_password(account_id="acc-1")
    (document,) = stored.find()
    assert len(document["issued_at"]) == 5, "those of hours ago are forgotten"


def test_each_account_and_purpose_has_limits_of_its_own(authentication: Authentication) -> None:
    authentication.send_one_time_password(account_id="acc-1", purpose="login")
    authentication.send_one_time_password(account_id="acc-1", purpose="payment")
    authentication.send_one_time_password(account_id="acc-2", purpose="login")
    refused(authentication, purpose="payment")


def test_a_code_stored_before_there_were_limits_counts(
    authentication: Authentication, stored: Stored
) -> None:
    authentication.send_one_time_password(account_id="acc-1")
    stored.update_one({}, {"$unset": {"issued_at": ""}})
    assert 25 < refused(authentication) <= 30


@pytest.mark.parametrize("days", [-1, 1])
def test_the_clock_is_the_databases(authentication: Authentication, days: int) -> None:
    authentication.send_one_time_password(account_id="acc-1")
    with time_machine.travel(datetime.now(UTC) + timedelta(days=days), tick=True):
        assert 25 < refused(authentication) <= 30


@pytest.mark.parametrize(("limits", "most"), [((30, 5), 1), ((0, 5), 5), ((0, 1), 1)])
def test_a_hundred_at_once_get_what_one_after_the_other_would(
    start: Start,
    outbox: Outbox,
    loop_thread: EventLoopThread,
    limits: tuple[float, int],
    most: int,
) -> None:
    authentication = start(reissue_seconds=limits[0], codes_per_hour=limits[1])

    async def send() -> str:
        try:
            await authentication.send_one_time_password_async(account_id="acc-1")
        except OneTimePasswordReissueLimitError as error:
            assert error.retry_after_seconds > 0
            return "refused"
        return "sent"

    async def send_all() -> Counter[str]:
        return Counter(await asyncio.gather(*(send() for _ in range(100))))

    assert loop_thread.run(send_all()) == {"sent": most, "refused": 100 - most}
    assert len(outbox.sent) == most


def test_a_command_that_waited_for_a_later_one_is_refused_by_no_limit(
    start: Start, outbox: Outbox, stored: Stored
) -> None:
    authentication = start(reissue_seconds=0, codes_per_hour=5)
    authentication.send_one_time_password(account_id="acc-1")
    ago(stored, -5.0)
    authentication.send_one_time_password(account_id="acc-1")
    assert len(outbox.sent) == 2


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ages=st.lists(st.floats(1, 4_000), max_size=8),
    reissue_seconds=st.integers(0, HOUR_SECONDS),
    codes_per_hour=st.integers(1, 6),
)
def test_a_code_is_issued_exactly_when_the_limits_allow_it(
    start: Start,
    database: MongoDatabase,
    loop_thread: EventLoopThread,
    stored: Stored,
    ages: list[float],
    reissue_seconds: int,
    codes_per_hour: int,
) -> None:
    """Any history, judged by the sentence of the README; within a second of a limit either is right."""
    repository = OneTimePasswordRepository(database.database)
    loop_thread.run(repository.ensure())
    stored.delete_many({})
    ages.sort(reverse=True)
    if ages:
        loop_thread.run(repository.issue(new_code("0"), IssueLimits(reissue_seconds=0, codes_per_hour=1)))
        ago(stored, *ages)
    within = [age for age in ages if age < HOUR_SECONDS]
    waits = [reissue_seconds - within[-1]] if within else []
    if len(within) >= codes_per_hour:
        waits.append(HOUR_SECONDS - within[-codes_per_hour])
    wait = max(waits, default=0.0)
    if any(math.isclose(each, edge, abs_tol=1.0) for each, edge in [(wait, 0), *((a, 3_600) for a in ages)]):
        return
    limits = IssueLimits(reissue_seconds=reissue_seconds, codes_per_hour=codes_per_hour)
    issue = loop_thread.run(repository.issue(new_code("1"), limits))
    if isinstance(issue, Issued):
        assert wait < 0 or not waits
    else:
        assert abs(issue.retry_after_seconds - wait) < 1.0


def new_code(ticket_id: str) -> NewOneTimePassword:
    return NewOneTimePassword(
        account_id="acc-1",
        purpose="login",
        ticket_id=ticket_id * 32,
        salt=b"salt",
        code_hash=b"hash",
        ttl_seconds=600,
        max_attempts=5,
    )

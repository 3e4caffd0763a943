"""Many callers at once: a code is accepted at most once and guessed at no more often than allowed."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.collection import Collection

from modules.application.errors import ServiceError
from modules.application.event_loop_thread import EventLoopThread
from modules.application.mongo_database import MongoDatabase
from modules.authentication.authentication_service import AuthenticationService
from modules.authentication.errors import (
    OneTimePasswordAttemptsExceededError,
    OneTimePasswordInvalidError,
    OneTimePasswordNotFoundError,
)
from modules.authentication.internals.store.one_time_password_repository import OneTimePasswordRepository
from modules.authentication.types import OneTimePasswordTicket
from tests.integration.authentication.conftest import Outbox, Start

Authentication = type[AuthenticationService]
ACCEPTED = "accepted"


async def answer(authentication: Authentication, ticket_id: str, code: str) -> str:
    try:
        await authentication.verify_one_time_password_async(
            account_id="acc-1", ticket_id=ticket_id, code=code
        )
    except ServiceError as error:
        return type(error).__name__
    return ACCEPTED


async def answer_all(authentication: Authentication, ticket_id: str, codes: list[str]) -> Counter[str]:
    return Counter(await asyncio.gather(*(answer(authentication, ticket_id, code) for code in codes)))


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"


def test_fifty_right_answers_at_once_are_one(
    start: Start, outbox: Outbox, loop_thread: EventLoopThread
) -> None:
    authentication = start(max_attempts=50)
    ticket = authentication.send_one_time_password(account_id="acc-1")
    answers = loop_thread.run(answer_all(authentication, ticket.id, [outbox.sent[0].code] * 50))
    assert answers == {ACCEPTED: 1, OneTimePasswordNotFoundError.__name__: 49}


def test_a_hundred_wrong_answers_at_once_use_the_attempts_and_no_more(
    authentication: Authentication,
    outbox: Outbox,
    loop_thread: EventLoopThread,
    stored: Collection[dict[str, Any]],
) -> None:
    ticket = authentication.send_one_time_password(account_id="acc-1")
    answers = loop_thread.run(answer_all(authentication, ticket.id, [wrong(outbox.sent[0].code)] * 100))
    assert answers == {
        OneTimePasswordInvalidError.__name__: 5,
        OneTimePasswordAttemptsExceededError.__name__: 95,
    }
    assert [document["attempts_left"] for document in stored.find()] == [0]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.booleans(), max_size=20))
def test_in_any_crowd_one_right_answer_wins_at_most(
    authentication: Authentication, outbox: Outbox, loop_thread: EventLoopThread, crowd: list[bool]
) -> None:
    ticket = authentication.send_one_time_password(account_id="acc-1")
    code = outbox.sent[-1].code
    answers = loop_thread.run(
        answer_all(authentication, ticket.id, [code if right else wrong(code) for right in crowd])
    )
    assert answers[ACCEPTED] <= 1
    assert answers[OneTimePasswordInvalidError.__name__] <= 5
    if crowd and all(crowd):
        assert answers[ACCEPTED] == 1


def test_of_codes_sent_at_once_one_is_good(
    start: Start, outbox: Outbox, loop_thread: EventLoopThread, stored: Collection[dict[str, Any]]
) -> None:
    authentication = start(digits=10, max_attempts=20)

    async def send_all() -> list[OneTimePasswordTicket]:
        return await asyncio.gather(
            *(authentication.send_one_time_password_async(account_id="acc-1") for _ in range(10))
        )

    tickets = loop_thread.run(send_all())
    assert stored.count_documents({}) == 1
    codes = [sent.code for sent in outbox.sent]
    answers: Counter[str] = Counter()
    for ticket in tickets:
        answers += loop_thread.run(answer_all(authentication, ticket.id, codes))
    assert answers[ACCEPTED] == 1


def test_a_code_replaced_while_it_is_checked_is_not_accepted(
    authentication: Authentication, outbox: Outbox, loop_thread: EventLoopThread, database: MongoDatabase
) -> None:
    repository = OneTimePasswordRepository(database.database)
    first = authentication.send_one_time_password(account_id="acc-1")
    whose = {"account_id": "acc-1", "purpose": "login"}
    attempt = loop_thread.run(repository.take_attempt(**whose, ticket_id=first.id))
    assert attempt is not None
    second = authentication.send_one_time_password(account_id="acc-1")
    assert loop_thread.run(repository.consume(**whose, ticket_id=first.id)) is False
    assert loop_thread.run(answer(authentication, second.id, outbox.sent[1].code)) == ACCEPTED


def test_an_attempt_is_paid_for_before_the_code_is_looked_at(
    start: Start, outbox: Outbox, loop_thread: EventLoopThread, database: MongoDatabase
) -> None:
    authentication = start(max_attempts=1)
    repository = OneTimePasswordRepository(database.database)
    ticket = authentication.send_one_time_password(account_id="acc-1")
    loop_thread.run(repository.take_attempt(account_id="acc-1", purpose="login", ticket_id=ticket.id))
    assert loop_thread.run(answer(authentication, ticket.id, outbox.sent[0].code)) == (
        OneTimePasswordAttemptsExceededError.__name__
    )

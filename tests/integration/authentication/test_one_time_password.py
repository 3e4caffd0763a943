"""Sending and verifying one-time passwords on a real MongoDB."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from modules.application.errors import InvalidInputError, ServiceError, UnavailableError
from modules.authentication.authentication_service import AuthenticationService
from modules.authentication.errors import (
    OneTimePasswordAttemptsExceededError,
    OneTimePasswordDeferredError,
    OneTimePasswordExpiredError,
    OneTimePasswordInvalidError,
    OneTimePasswordNotFoundError,
)
from modules.notification.errors import ImmediateSendDeferredError
from tests.integration.authentication.conftest import Outbox, Start

Authentication = type[AuthenticationService]
Stored = Collection[dict[str, Any]]


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"


def expire(stored: Stored) -> None:
    stored.update_many({}, [{"$set": {"expires_at": "$$NOW"}}])


def test_the_code_goes_out_as_an_immediate_push(authentication: Authentication, outbox: Outbox) -> None:
    ticket = authentication.send_one_time_password(account_id="acc-1")
    (sent,) = outbox.sent
    assert (ticket.notification_id, ticket.expires_at) == ("notification-1", sent.expires_at)
    assert (sent.account_id, sent.immediate, sent.params.category) == ("acc-1", True, "security")
    assert sent.params.body == f"Your code is {sent.code}"
    assert sent.params.data == {"type": "otp", "code": sent.code}
    assert len(sent.code) == 6
    left = sent.expires_at - datetime.now(UTC)
    assert timedelta(minutes=9) < left < timedelta(minutes=11)


def test_the_right_code_is_accepted_once(authentication: Authentication, outbox: Outbox) -> None:
    ticket = authentication.send_one_time_password(account_id="acc-1")
    code = outbox.sent[0].code
    authentication.verify_one_time_password(account_id="acc-1", ticket_id=ticket.id, code=code)
    with pytest.raises(OneTimePasswordNotFoundError):
        authentication.verify_one_time_password(account_id="acc-1", ticket_id=ticket.id, code=code)


def test_a_wrong_code_leaves_the_right_one(authentication: Authentication, outbox: Outbox) -> None:
    ticket = authentication.send_one_time_password(account_id="acc-1")
    code = outbox.sent[0].code
    for _ in range(4):
        with pytest.raises(OneTimePasswordInvalidError):
            authentication.verify_one_time_password(account_id="acc-1", ticket_id=ticket.id, code=wrong(code))
    authentication.verify_one_time_password(account_id="acc-1", ticket_id=ticket.id, code=code)


def test_after_the_last_attempt_the_right_code_is_refused(
    authentication: Authentication, outbox: Outbox
) -> None:
    ticket = authentication.send_one_time_password(account_id="acc-1")
    code = outbox.sent[0].code
    for _ in range(5):
        with pytest.raises(OneTimePasswordInvalidError):
            authentication.verify_one_time_password(account_id="acc-1", ticket_id=ticket.id, code=wrong(code))
    with pytest.raises(OneTimePasswordAttemptsExceededError):
        authentication.verify_one_time_password(account_id="acc-1", ticket_id=ticket.id, code=code)


def test_a_malformed_code_costs_no_attempt(authentication: Authentication, outbox: Outbox) -> None:
    ticket = authentication.send_one_time_password(account_id="acc-1")
    for _ in range(6):
        with pytest.raises(InvalidInputError):
            authentication.verify_one_time_password(
                account_id="acc-1", ticket_id=ticket.id, code="not digits"
            )
    authentication.verify_one_time_password(account_id="acc-1", ticket_id=ticket.id, code=outbox.sent[0].code)


def test_an_expired_code_is_refused(authentication: Authentication, outbox: Outbox, stored: Stored) -> None:
    ticket = authentication.send_one_time_password(account_id="acc-1")
    expire(stored)
    with pytest.raises(OneTimePasswordExpiredError):
        authentication.verify_one_time_password(
            account_id="acc-1", ticket_id=ticket.id, code=outbox.sent[0].code
        )


@pytest.mark.parametrize("days", [-1, 1])
def test_expiry_is_told_by_the_databases_clock(
    authentication: Authentication, outbox: Outbox, days: int
) -> None:
    real = datetime.now(UTC)
    with time_machine.travel(real + timedelta(days=days), tick=True):
        ticket = authentication.send_one_time_password(account_id="acc-1")
        authentication.verify_one_time_password(
            account_id="acc-1", ticket_id=ticket.id, code=outbox.sent[0].code
        )
    assert abs(ticket.expires_at - real) < timedelta(minutes=11)


def test_a_new_code_voids_the_former_and_has_its_own_attempts(
    authentication: Authentication, outbox: Outbox
) -> None:
    first_ticket = authentication.send_one_time_password(account_id="acc-1")
    second_ticket = authentication.send_one_time_password(account_id="acc-1")
    assert first_ticket.id != second_ticket.id
    first, second = (sent.code for sent in outbox.sent)
    for _ in range(6):
        with pytest.raises(OneTimePasswordNotFoundError):
            authentication.verify_one_time_password(account_id="acc-1", ticket_id=first_ticket.id, code=first)
    authentication.verify_one_time_password(account_id="acc-1", ticket_id=second_ticket.id, code=second)


def test_after_use_a_new_code_can_be_sent(authentication: Authentication, outbox: Outbox) -> None:
    for number in range(2):
        ticket = authentication.send_one_time_password(account_id="acc-1")
        authentication.verify_one_time_password(
            account_id="acc-1", ticket_id=ticket.id, code=outbox.sent[number].code
        )


def test_a_code_is_for_one_account_and_one_purpose(authentication: Authentication, outbox: Outbox) -> None:
    login = authentication.send_one_time_password(account_id="acc-1", purpose="login")
    code = outbox.sent[0].code
    for account_id, purpose in (("acc-2", "login"), ("acc-1", "payment")):
        with pytest.raises(OneTimePasswordNotFoundError):
            authentication.verify_one_time_password(
                account_id=account_id, purpose=purpose, ticket_id=login.id, code=code
            )
    payment = authentication.send_one_time_password(account_id="acc-1", purpose="payment")
    for purpose, ticket, sent in (("login", login, 0), ("payment", payment, 1)):
        authentication.verify_one_time_password(
            account_id="acc-1", purpose=purpose, ticket_id=ticket.id, code=outbox.sent[sent].code
        )


def test_who_has_no_ticket_burns_no_attempt(
    authentication: Authentication, outbox: Outbox, stored: Stored
) -> None:
    ticket = authentication.send_one_time_password(account_id="acc-1")
    code = outbox.sent[0].code
    for _ in range(10):
        for guess in (code, wrong(code)):
            with pytest.raises(OneTimePasswordNotFoundError):
                authentication.verify_one_time_password(
                    account_id="acc-1", ticket_id=uuid.uuid4().hex, code=guess
                )
    assert [document["attempts_left"] for document in stored.find()] == [5]
    authentication.verify_one_time_password(account_id="acc-1", ticket_id=ticket.id, code=code)


@pytest.mark.parametrize("ticket_id", ["", "x", "A" * 32, "0" * 31, None, 5, {"$ne": ""}])
def test_what_is_no_ticket_is_refused_without_an_attempt(
    authentication: Authentication, outbox: Outbox, stored: Stored, ticket_id: Any
) -> None:
    authentication.send_one_time_password(account_id="acc-1")
    with pytest.raises(InvalidInputError) as refused:
        authentication.verify_one_time_password(
            account_id="acc-1", ticket_id=ticket_id, code=outbox.sent[0].code
        )
    assert refused.value.code == "malformed_ticket"
    assert [document["attempts_left"] for document in stored.find()] == [5]


def test_when_it_is_sent_later_the_error_has_the_ticket(
    authentication: Authentication, outbox: Outbox
) -> None:
    outbox.failure = ImmediateSendDeferredError("notification-1")
    with pytest.raises(OneTimePasswordDeferredError) as deferred:
        authentication.send_one_time_password(account_id="acc-1")
    ticket = deferred.value.ticket
    assert (ticket.notification_id, ticket.reached, ticket.status) == ("notification-1", 0, "pending")
    authentication.verify_one_time_password(account_id="acc-1", ticket_id=ticket.id, code=outbox.sent[0].code)


def test_when_nobody_can_say_what_it_came_to_the_error_has_the_ticket(
    authentication: Authentication, outbox: Outbox
) -> None:
    outbox.read_failure = UnavailableError(code="database_unavailable", reason="MongoDB did not answer")
    with pytest.raises(OneTimePasswordDeferredError) as deferred:
        authentication.send_one_time_password(account_id="acc-1")
    authentication.verify_one_time_password(
        account_id="acc-1", ticket_id=deferred.value.ticket.id, code=outbox.sent[0].code
    )


def test_when_it_is_not_sent_the_error_is_passed_on_and_the_next_code_need_not_wait(
    start: Start, outbox: Outbox, stored: Stored
) -> None:
    authentication = start(reissue_seconds=600, codes_per_hour=1)
    outbox.failure = UnavailableError(code="database_unavailable", reason="MongoDB did not answer")
    with pytest.raises(UnavailableError) as passed_on:
        authentication.send_one_time_password(account_id="acc-1")
    assert passed_on.value is outbox.failure
    assert [document["code_hash"] for document in stored.find()] == [None]
    outbox.failure = None
    authentication.send_one_time_password(account_id="acc-1")


def test_nothing_stored_or_told_holds_the_code(start: Start, outbox: Outbox, stored: Stored) -> None:
    authentication = start(digits=10)
    ticket = authentication.send_one_time_password(account_id="acc-1")
    code = outbox.sent[0].code
    (document,) = stored.find()
    with pytest.raises(ServiceError) as refused:
        authentication.verify_one_time_password(account_id="acc-1", ticket_id=ticket.id, code=wrong(code))
    for text in (repr(document), repr(ticket), str(refused.value), repr(refused.value.problems)):
        assert code not in text
        assert wrong(code) not in text
    assert code.encode() not in document["code_hash"] + document["salt"]


def test_a_used_code_leaves_nothing_to_guess_at(
    authentication: Authentication, outbox: Outbox, stored: Stored
) -> None:
    ticket = authentication.send_one_time_password(account_id="acc-1")
    authentication.verify_one_time_password(account_id="acc-1", ticket_id=ticket.id, code=outbox.sent[0].code)
    (document,) = stored.find()
    assert (document["salt"], document["code_hash"]) == (None, None)
    assert document["used_at"] >= document["created_at"]


@pytest.mark.parametrize("account_id", ["$purpose", "$$NOW", "a:b"])
def test_an_account_id_is_only_a_text(
    authentication: Authentication, outbox: Outbox, stored: Stored, account_id: str
) -> None:
    ticket = authentication.send_one_time_password(account_id=account_id)
    assert [document["account_id"] for document in stored.find()] == [account_id]
    authentication.verify_one_time_password(
        account_id=account_id, ticket_id=ticket.id, code=outbox.sent[0].code
    )


def test_nothing_is_sent_or_written_when_something_is_wrong(
    authentication: Authentication, outbox: Outbox, stored: Stored
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        authentication.send_one_time_password(account_id="", purpose="Not A Name")
    assert len(refused.value.problems) == 2
    assert (outbox.sent, stored.count_documents({})) == ([], 0)


def test_old_codes_are_removed_by_the_database(authentication: Authentication, stored: Stored) -> None:
    authentication.send_one_time_password(account_id="acc-1")
    ttl = stored.index_information()["expired"]
    assert (ttl["key"], ttl["expireAfterSeconds"]) == ([("expires_at", 1)], 86_400)


def test_the_database_refuses_other_shapes(authentication: Authentication, stored: Stored) -> None:
    authentication.send_one_time_password(account_id="acc-1")
    for change in ({"attempts_left": -1}, {"code": "123456"}, {"code_hash": "123456"}):
        with pytest.raises(OperationFailure, match="validation"):
            stored.update_one({}, {"$set": change})

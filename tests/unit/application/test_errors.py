"""The error family: code, field, reason, and every problem found."""

from __future__ import annotations

import pytest

from modules.application.errors import (
    InvalidInputError,
    NotBootstrappedError,
    Problem,
    ServiceError,
    UnavailableError,
)
from modules.application.service_facade import ServiceFacade, blocking
from modules.notification import errors as notification_errors


def test_an_error_is_its_own_problem() -> None:
    error = UnavailableError(code="database_unavailable", reason="no answer")
    assert str(error) == "database_unavailable: no answer"
    assert error.problems == (Problem("database_unavailable", None, "no answer"),)


def test_bad_input_names_the_first_problem_and_keeps_all() -> None:
    problems = [Problem("missing", "title", "is missing"), Problem("too_long", "body", "is too long")]
    error = InvalidInputError(problems)
    assert (error.code, error.field) == ("missing", "title")
    assert error.reason == "title: is missing; body: is too long"
    assert error.problems == tuple(problems)


def test_every_error_of_the_notification_module_is_a_service_error() -> None:
    classes = [each for each in vars(notification_errors).values() if isinstance(each, type)]
    assert len(classes) > 5
    assert all(issubclass(each, ServiceError) for each in classes)


class Greeter(ServiceFacade[str]):
    @classmethod
    async def greet_async(cls, *, name: str) -> str:
        async def said(core: str) -> str:
            return f"{core}, {name}"

        return await cls._on_core(said)

    greet = blocking(greet_async)


async def test_a_service_says_that_bootstrap_has_not_run() -> None:
    assert not Greeter.is_bound()
    with pytest.raises(NotBootstrappedError):
        Greeter.greet(name="you")
    with pytest.raises(NotBootstrappedError):
        await Greeter.greet_async(name="you")


def test_the_blocking_twin_keeps_name_and_documentation() -> None:
    from modules.notification.notification_service import NotificationService

    assert NotificationService.send_push_for_account.__doc__
    assert "account_id" in (NotificationService.send_push_for_account.__wrapped__.__annotations__)  # type: ignore[attr-defined]

"""One-time passwords sent as push: the proof that a person holds a device of the account."""

from __future__ import annotations

from collections.abc import Collection

from modules.application.event_loop_thread import EventLoopThread
from modules.application.mongo_database import MongoDatabase
from modules.application.service_facade import ServiceFacade, blocking
from modules.authentication.internals.one_time_password_authenticator import OneTimePasswordAuthenticator
from modules.authentication.internals.store.one_time_password_repository import OneTimePasswordRepository
from modules.authentication.types import (
    DEFAULT_PURPOSE,
    OneTimePasswordText,
    OneTimePasswordTicket,
    ReadPush,
    SendPush,
)
from modules.config.types import OneTimePasswordSettings


class AuthenticationService(ServiceFacade[OneTimePasswordAuthenticator]):
    """Sends and verifies one-time passwords.

    There is one code at a time an account and purpose. How often one is sent is limited for each pair, and
    attempts are for each code, counted only for who shows its ticket; all processes share both.
    """

    @classmethod
    async def start(
        cls,
        *,
        database: MongoDatabase,
        loop_thread: EventLoopThread,
        settings: OneTimePasswordSettings,
        send_push: SendPush,
        read_push: ReadPush,
        app_ids: Collection[str],
    ) -> None:
        """Create the collection and bind the service to the loop; called by bootstrap, safe to repeat.

        `send_push` and `read_push` are NotificationService's, awaited on the loop; `app_ids` are the apps
        that have credentials.
        """
        repository = OneTimePasswordRepository(database.database)
        await loop_thread.call(repository.ensure)
        authenticator = OneTimePasswordAuthenticator(
            repository, settings, send_push=send_push, read_push=read_push, app_ids=app_ids
        )
        cls.bind(authenticator, loop_thread)

    @classmethod
    async def send_one_time_password_async(
        cls, *, account_id: str, purpose: str = DEFAULT_PURPOSE, text: OneTimePasswordText | None = None
    ) -> OneTimePasswordTicket:
        """Send a new code as an immediate push; the former code of this account and purpose is void at once.

        Without `text` it says so in the account's language. The ticket says what the first round of attempts
        came to. Raises InvalidInputError; OneTimePasswordUnreachableError when nobody can be told,
        OneTimePasswordNotConfiguredError when no app of the account's devices has credentials, and
        OneTimePasswordReissueLimitError, all three with nothing sent that is valid;
        OneTimePasswordDeferredError, which carries the ticket, when it is sent later.
        """
        return await cls._on_core(lambda core: core.send(account_id=account_id, purpose=purpose, text=text))

    @classmethod
    async def verify_one_time_password_async(
        cls, *, account_id: str, ticket_id: str, code: str, purpose: str = DEFAULT_PURPOSE
    ) -> None:
        """Accept the code of a ticket, once; returning is success.

        Raises InvalidInputError (no ticket's id, not digits), OneTimePasswordNotFoundError when no code waits
        under this ticket: used already, replaced, or somebody else's; neither costs an attempt.
        OneTimePasswordInvalidError costs one; OneTimePasswordExpiredError,
        OneTimePasswordAttemptsExceededError.
        """
        return await cls._on_core(
            lambda core: core.verify(account_id=account_id, purpose=purpose, ticket_id=ticket_id, code=code)
        )

    @classmethod
    async def erase_account_async(cls, *, account_id: str) -> int:
        """Remove every code of the account; returns how many. Safe to repeat."""
        return await cls._on_core(lambda core: core.erase(account_id))

    send_one_time_password = blocking(send_one_time_password_async)
    verify_one_time_password = blocking(verify_one_time_password_async)
    erase_account = blocking(erase_account_async)

"""One-time passwords sent as push: the proof that a person holds a device of the account."""

from __future__ import annotations

from modules.application.event_loop_thread import EventLoopThread
from modules.application.mongo_database import MongoDatabase
from modules.application.service_facade import ServiceFacade, blocking
from modules.authentication.internals.one_time_password_authenticator import OneTimePasswordAuthenticator
from modules.authentication.internals.store.one_time_password_repository import OneTimePasswordRepository
from modules.authentication.types import DEFAULT_PURPOSE, OneTimePasswordTicket, SendPush
from modules.config.types import OneTimePasswordSettings


class AuthenticationService(ServiceFacade[OneTimePasswordAuthenticator]):
    """Sends and verifies one-time passwords.

    There is one code at a time an account and purpose. Attempts are limited per code, so whoever exposes
    `send_one_time_password` to the outside has to limit how often it can be called for an account.
    """

    @classmethod
    async def start(
        cls,
        *,
        database: MongoDatabase,
        loop_thread: EventLoopThread,
        settings: OneTimePasswordSettings,
        send_push: SendPush,
    ) -> None:
        """Create the collection and bind the service to the loop; called by bootstrap, safe to repeat.

        `send_push` is awaited on the loop: `NotificationService.send_push_for_account_async`.
        """
        repository = OneTimePasswordRepository(database.database)
        await loop_thread.call(repository.ensure)
        cls.bind(OneTimePasswordAuthenticator(repository, settings, send_push), loop_thread)

    @classmethod
    async def send_one_time_password_async(
        cls, *, account_id: str, purpose: str = DEFAULT_PURPOSE
    ) -> OneTimePasswordTicket:
        """Send a new code as an immediate push; the former code of this account and purpose is void at once.

        Raises InvalidInputError, and whatever sending raises: an UnavailableError that carries the
        notification's id means that it will still be sent, and the code is valid as long as it was to be.
        """
        return await cls._on_core(lambda core: core.send(account_id=account_id, purpose=purpose))

    @classmethod
    async def verify_one_time_password_async(
        cls, *, account_id: str, code: str, purpose: str = DEFAULT_PURPOSE
    ) -> None:
        """Accept the code, once; returning is success.

        Raises InvalidInputError (not digits; costs no attempt), OneTimePasswordInvalidError,
        OneTimePasswordExpiredError, OneTimePasswordAttemptsExceededError, or OneTimePasswordNotFoundError
        when no code waits: never sent, used already, or replaced.
        """
        return await cls._on_core(lambda core: core.verify(account_id=account_id, purpose=purpose, code=code))

    send_one_time_password = blocking(send_one_time_password_async)
    verify_one_time_password = blocking(verify_one_time_password_async)

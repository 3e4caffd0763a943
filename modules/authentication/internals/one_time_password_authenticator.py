"""Sends one-time passwords and verifies each at most once; the logic behind AuthenticationService."""

from __future__ import annotations

import uuid

from modules.authentication.errors import (
    OneTimePasswordAttemptsExceededError,
    OneTimePasswordExpiredError,
    OneTimePasswordInvalidError,
    OneTimePasswordNotFoundError,
)
from modules.authentication.internals.code_hash import code_matches, hash_code, new_code, new_salt
from modules.authentication.internals.one_time_password_params import check_answer, check_request
from modules.authentication.internals.store.one_time_password_repository import (
    NewOneTimePassword,
    OneTimePasswordRepository,
    Standing,
)
from modules.authentication.types import OneTimePasswordTicket, SendPush
from modules.config.types import OneTimePasswordSettings
from modules.notification.types import SendPushParams

CATEGORY = "security"

_REFUSALS = {
    Standing.ABSENT: OneTimePasswordNotFoundError,
    Standing.EXPIRED: OneTimePasswordExpiredError,
    Standing.EXHAUSTED: OneTimePasswordAttemptsExceededError,
    # Sent between the refused attempt and the look at why: the code that was tried is the former one.
    Standing.OPEN: OneTimePasswordNotFoundError,
}


class OneTimePasswordAuthenticator:
    """One code at a time an account and purpose."""

    def __init__(
        self, repository: OneTimePasswordRepository, settings: OneTimePasswordSettings, send_push: SendPush
    ) -> None:
        self._repository = repository
        self._settings = settings
        self._send_push = send_push

    async def send(self, *, account_id: str, purpose: str) -> OneTimePasswordTicket:
        check_request(account_id=account_id, purpose=purpose)
        code, salt = new_code(self._settings.digits), new_salt()
        ticket_id = uuid.uuid4().hex
        expires_at = await self._repository.replace(
            NewOneTimePassword(
                account_id=account_id,
                purpose=purpose,
                ticket_id=ticket_id,
                salt=salt,
                code_hash=await hash_code(code, salt),
                ttl_seconds=self._settings.ttl_seconds,
                max_attempts=self._settings.max_attempts,
            )
        )
        notification_id = await self._send_push(
            account_id=account_id,
            params=SendPushParams(
                title="Your code",
                body=f"Your code is {code}",
                data={"type": "otp", "code": code},
                category=CATEGORY,
            ),
            immediate=True,
            expires_at=expires_at,
        )
        return OneTimePasswordTicket(id=ticket_id, notification_id=notification_id, expires_at=expires_at)

    async def verify(self, *, account_id: str, purpose: str, code: str) -> None:
        check_answer(account_id=account_id, purpose=purpose, code=code)
        attempt = await self._repository.take_attempt(account_id=account_id, purpose=purpose)
        if attempt is None:
            standing = await self._repository.standing(account_id=account_id, purpose=purpose)
            raise _REFUSALS[standing]
        if not await code_matches(code, salt=attempt.salt, code_hash=attempt.code_hash):
            raise OneTimePasswordInvalidError
        if not await self._repository.consume(
            account_id=account_id, purpose=purpose, ticket_id=attempt.ticket_id
        ):
            raise OneTimePasswordNotFoundError

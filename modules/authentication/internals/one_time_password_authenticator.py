"""Sends one-time passwords and verifies each at most once; the logic behind AuthenticationService."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from modules.account.account_service import AccountService
from modules.application.app_ids import DEFAULT_APP_ID
from modules.application.errors import ServiceError, UnavailableError
from modules.authentication.errors import (
    OneTimePasswordAttemptsExceededError,
    OneTimePasswordDeferredError,
    OneTimePasswordExpiredError,
    OneTimePasswordInvalidError,
    OneTimePasswordNotConfiguredError,
    OneTimePasswordNotFoundError,
    OneTimePasswordReissueLimitError,
    OneTimePasswordUnreachableError,
)
from modules.authentication.internals.code_hash import code_matches, hash_code, new_code, new_salt
from modules.authentication.internals.one_time_password_params import (
    check_account,
    check_answer,
    check_request,
)
from modules.authentication.internals.one_time_password_texts import text_for, with_code
from modules.authentication.internals.store.one_time_password_repository import (
    IssueLimits,
    IssueRefused,
    NewOneTimePassword,
    OneTimePasswordRepository,
    Standing,
)
from modules.authentication.types import OneTimePasswordText, OneTimePasswordTicket, ReadPush, SendPush
from modules.config.types import OneTimePasswordSettings
from modules.device_token.device_token_service import DeviceTokenService
from modules.notification.types import AndroidOptions, ApnsOptions, Outcome, SendPushParams, Status

CATEGORY = "security"
SOUND = "default"

_REFUSALS = {
    Standing.ABSENT: OneTimePasswordNotFoundError,
    Standing.EXPIRED: OneTimePasswordExpiredError,
    Standing.EXHAUSTED: OneTimePasswordAttemptsExceededError,
    # Sent between the refused attempt and the look at why: the code that was tried is the former one.
    Standing.OPEN: OneTimePasswordNotFoundError,
}


class OneTimePasswordAuthenticator:
    """One code at a time an account and purpose. `app_ids` are the apps that have credentials."""

    def __init__(
        self,
        repository: OneTimePasswordRepository,
        settings: OneTimePasswordSettings,
        *,
        send_push: SendPush,
        read_push: ReadPush,
        app_ids: Collection[str],
    ) -> None:
        self._repository = repository
        self._settings = settings
        self._limits = IssueLimits(
            reissue_seconds=settings.reissue_seconds, codes_per_hour=settings.codes_per_hour
        )
        self._send_push = send_push
        self._read_push = read_push
        self._app_ids = app_ids

    async def send(
        self, *, account_id: str, purpose: str, text: OneTimePasswordText | None
    ) -> OneTimePasswordTicket:
        """See AuthenticationService.send_one_time_password."""
        check_request(account_id=account_id, purpose=purpose, text=text)
        # Before a code is made: one that nobody can be sent must not void the former one.
        await self._check_reachable(account_id)
        if text is None:
            locales = await AccountService.locales_of_async(account_ids=[account_id])
            text = text_for(locales[account_id])
        code, ticket_id = new_code(self._settings.digits), uuid.uuid4().hex
        expires_at = await self._issue(account_id, purpose, ticket_id, code)
        try:
            ticket = await self._sent(account_id, ticket_id, _message(text, code), expires_at)
        except OneTimePasswordDeferredError:
            raise
        except ServiceError:
            # Nobody has a ticket for it. Where MongoDB does not take that, it ends by itself.
            with suppress(ServiceError):
                await self._repository.retract(account_id=account_id, purpose=purpose, ticket_id=ticket_id)
            raise
        return ticket

    async def verify(self, *, account_id: str, purpose: str, ticket_id: str, code: str) -> None:
        """See AuthenticationService.verify_one_time_password."""
        check_answer(account_id=account_id, purpose=purpose, ticket_id=ticket_id, code=code)
        whose = {"account_id": account_id, "purpose": purpose, "ticket_id": ticket_id}
        attempt = await self._repository.take_attempt(**whose)
        if attempt is None:
            raise _REFUSALS[await self._repository.standing(**whose)]
        if not await code_matches(code, salt=attempt.salt, code_hash=attempt.code_hash):
            raise OneTimePasswordInvalidError
        if not await self._repository.consume(**whose):
            raise OneTimePasswordNotFoundError

    async def erase(self, account_id: str) -> int:
        """See AuthenticationService.erase_account."""
        check_account(account_id)
        return await self._repository.erase(account_id)

    async def _check_reachable(self, account_id: str) -> None:
        devices = await DeviceTokenService.active_devices_async(account_id=account_id)
        if not devices:
            raise OneTimePasswordUnreachableError("the account has no active device")
        if not any(device.app_id in self._app_ids for device in devices):
            app_id = devices[0].app_id
            prefix = "fcm" if app_id == DEFAULT_APP_ID else f"fcm.apps.{app_id}"
            raise OneTimePasswordNotConfiguredError(f"{prefix}.credentials_path")

    async def _issue(self, account_id: str, purpose: str, ticket_id: str, code: str) -> datetime:
        """Store the code in place of the former one; returns when it expires."""
        salt = new_salt()
        issue = await self._repository.issue(
            NewOneTimePassword(
                account_id=account_id,
                purpose=purpose,
                ticket_id=ticket_id,
                salt=salt,
                code_hash=await hash_code(code, salt),
                ttl_seconds=self._settings.ttl_seconds,
                max_attempts=self._settings.max_attempts,
            ),
            self._limits,
        )
        if isinstance(issue, IssueRefused):
            raise OneTimePasswordReissueLimitError(issue.retry_after_seconds)
        return issue.expires_at

    async def _sent(
        self, account_id: str, ticket_id: str, params: SendPushParams, expires_at: datetime
    ) -> OneTimePasswordTicket:
        """Send the message, and look at what the first round of attempts came to."""
        try:
            notification_id = await self._send_push(
                account_id=account_id, params=params, immediate=True, expires_at=expires_at
            )
        except UnavailableError as error:
            # An error that leaves a message behind carries its id.
            kept_id: str | None = getattr(error, "notification_id", None)
            if kept_id is None:
                raise
            raise OneTimePasswordDeferredError(_ticket(ticket_id, kept_id, expires_at)) from error
        ticket = _ticket(ticket_id, notification_id, expires_at)
        try:
            push = await self._read_push(notification_id=notification_id)
        except UnavailableError as error:
            raise OneTimePasswordDeferredError(ticket) from error
        reached = sum(device.outcome is Outcome.ACCEPTED for device in push.devices)
        if not reached and push.status in (Status.FAILED, Status.EXPIRED):
            reason = f"no device took the message ({push.error_type or push.status})"
            raise OneTimePasswordUnreachableError(reason, notification_id)
        return replace(ticket, reached=reached, status=push.status)


def _ticket(ticket_id: str, notification_id: str, expires_at: datetime) -> OneTimePasswordTicket:
    return OneTimePasswordTicket(
        id=ticket_id,
        notification_id=notification_id,
        expires_at=expires_at,
        reached=0,
        status=Status.PENDING,
    )


def _message(text: OneTimePasswordText, code: str) -> SendPushParams:
    title, body = with_code(text, code)
    return SendPushParams(
        title=title,
        body=body,
        data={"type": "otp", "code": code},
        category=CATEGORY,
        android=AndroidOptions(sound=SOUND),
        apns=ApnsOptions(sound=SOUND, interruption_level="time-sensitive"),
    )

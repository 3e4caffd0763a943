"""Sends the messages of one call that go to one app, side by side; ends early when all of them must wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from modules.application.errors import ServiceError
from modules.logger.logger_service import get_logger
from modules.notification.errors import ProviderUnavailableError
from modules.notification.internals.channels.fcm.access_token_source import Access
from modules.notification.internals.channels.fcm.answer import FailureKind, FcmAnswer, SendFailure
from modules.notification.internals.channels.fcm.fcm_app import FcmApp
from modules.notification.internals.channels.fcm.message_encoder import EncodedMessage
from modules.notification.internals.error_classifier import ACCEPTED, ErrorClassifier, accepted_message_id
from modules.notification.types import PushTarget, TargetResult, ThrottleScope


@dataclass(slots=True)
class Letter:
    """One message to one target, and what came of it; encoded when it is sent."""

    target: PushTarget
    message: EncodedMessage | SendFailure
    message_id: str
    result: TargetResult | None = None


class FCMBatch:
    """Letters to one app. `send` gives every one its result and raises nothing for what FCM answers."""

    def __init__(self, letters: Sequence[Letter], classifier: ErrorClassifier) -> None:
        self._letters = letters
        self._classifier = classifier
        # Says that the project's quota is used up, once an answer has said so.
        self._ended: SendFailure | None = None

    async def send(self, app: FcmApp, may_send: Callable[[], bool]) -> None:
        try:
            access = await app.access()
        except ServiceError as error:
            self.refuse(_no_access(app, error))
            return
        waiting = iter(self._letters)

        async def drain() -> None:
            for letter in waiting:
                self._answer(letter, self._ended or await _attempt(letter, app, access, may_send))

        await together([drain() for _ in range(min(len(self._letters), app.max_concurrent_requests))])

    def refuse(self, failure: SendFailure) -> None:
        """Nothing is sent: every letter gets the same answer."""
        for letter in self._letters:
            self._answer(letter, failure)

    def _answer(self, letter: Letter, answer: FcmAnswer) -> None:
        message_id = accepted_message_id(answer)
        verdict = self._classifier.classify(answer) if message_id is None else ACCEPTED
        letter.result = TargetResult(
            device_id=letter.target.device_id,
            classification=verdict,
            message_id=message_id,
            latency_ms=answer.latency_ms,
        )
        if verdict.attempted and verdict.scope is ThrottleScope.PROJECT:
            seconds = verdict.retry_after_seconds or verdict.min_backoff_seconds
            self._ended = SendFailure(kind=FailureKind.QUOTA_REACHED, retry_after_seconds=seconds)


async def _attempt(letter: Letter, app: FcmApp, access: Access, may_send: Callable[[], bool]) -> FcmAnswer:
    message = letter.message
    if isinstance(message, SendFailure):
        return message
    try:
        body = message.body_for(letter.target.kind, letter.target.address, letter.message_id)
        return await app.post(body, access, may_send)
    except ServiceError as error:
        return _no_access(app, error)
    except Exception as error:  # noqa: BLE001 - what the other targets were answered must not be lost
        get_logger().error("sending failed", action="fcm.send_failed", error=type(error).__name__)
        return SendFailure(kind=FailureKind.UNEXPECTED, detail=type(error).__name__)


def _no_access(app: FcmApp, error: ServiceError) -> SendFailure:
    app.report(error)
    unreachable = isinstance(error, ProviderUnavailableError)
    kind = FailureKind.TOKEN_SERVER_UNREACHABLE if unreachable else FailureKind.CREDENTIALS_UNUSABLE
    # The answer is kept with the row; the reason may name a file of this machine.
    return SendFailure(kind=kind, detail=error.code)


async def together(coroutines: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run all to their end; a task each only where there is more than one."""
    if len(coroutines) == 1:
        await coroutines[0]
        return
    async with asyncio.TaskGroup() as group:
        for coroutine in coroutines:
            group.create_task(coroutine)
